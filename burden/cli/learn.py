"""Commands about the model: train it."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FILE, OUT, SEED, Finite, common, console_of


@click.command()
@click.argument("data", type=FILE)
@click.option(
    "--out", "-o", type=OUT, required=True, help="Checkpoints and the new bundle; resumed if there."
)
@click.option("--minutes", type=Finite(min=0), help="Time for all stages; default: until done.")
@click.option("--steps", type=click.IntRange(1), help="Steps of each stage instead of a time.")
@click.option("--stage", type=click.Choice(["coarse", "fine", "fine_mr"]), help="Train only this stage.")
@click.option("--from", "start", type=FILE, help="Go on from the weights of this bundle.")
@click.option("--config", type=FILE, help="train.yaml; default: that of the bundle.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@common
def train(**options: Any) -> None:
    """Train the default model on DATA: a folder of *_ct.nii.gz and *_label.nii.gz.

    Stop it at any time; the same command goes on where it stopped. The bundle in OUT/bundle is
    ready for `burden run --model OUT/bundle`; OUT/train.png shows how the losses went.
    """
    from burden.errors import InputError, OutputError
    from burden.train.export import new_bundle
    from burden.train.loop import train as run_training

    console = console_of(options)
    data, out = options.pop("data"), options.pop("out")
    if not data.exists():
        raise InputError("no such folder or pack.", where=data)
    if out.exists() and not out.is_dir():
        raise OutputError("this is a file, not a folder.", where=out, hint="Choose another OUT.")
    with console.progress() as progress:
        checkpoints = run_training(data, out, progress=progress, **options)
        pack = data if data.suffix == ".npz" else None
        settings = {"pack": pack, "progress": progress} | {k: options[k] for k in ("config", "start")}
        bundle = new_bundle(checkpoints, out / "bundle", **settings)
    console.result({"bundle": str(bundle)}, f"Bundle: {bundle}")
