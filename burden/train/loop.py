"""Train the networks; stop and go on at any time.

Every random number of a step comes from (seed, stage, step), so a run that was interrupted and
resumed ends in the same state as one that was not (on the same machine and with the same number of
steps).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burden.errors import UsageError
from burden.segment.bundle import load_network, read_bundle
from burden.train import augment, curve, settings
from burden.train.draw import Draw
from burden.train.lesions import LESION, LIVER
from burden.train.loss import segmentation_loss
from burden.train.pack import load_pack, pack_folder

if TYPE_CHECKING:
    from burden.segment.bundle import Bundle, Network
    from burden.train.settings import Stage

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]


def train(
    data: Path,
    out: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    device: str = "auto",
    seed: int = 0,
    config: Path | None = None,
    stage: str | None = None,
    start: Path | None = None,
    save_every_s: float = 300.0,
    progress: Progress = lambda _stage, _done: None,
) -> list[Path]:
    """Train, or go on training, the networks.

    Parameters
    ----------
    data : Path
        Folder of ``*_ct.nii.gz`` and ``*_label.nii.gz``, or a pack made from one (.npz).
    out : Path
        Folder for ``coarse.pt``, ``fine.pt``, ``fine_mr.pt`` (checkpoints, resumed when there),
        ``train.csv`` (losses) and ``train.png`` (their plot, drawn with every checkpoint).
    minutes : float, optional
        Time for all stages together, shared as the settings say.
    steps : int, optional
        Steps of each stage instead of a time. With neither, the settings' own number of steps.
    device : str
        "auto", "cpu" or a torch device; bf16 is used on CUDA and on CPUs that calculate in it.
    seed : int
        Seed of the weights and of every patch.
    config : Path, optional
        ``train.yaml``; by default the one of `start`, or of the shipped bundle.
    stage : str, optional
        Train only this stage.
    start : Path, optional
        Bundle whose weights to go on from; without one, from chance. Checkpoints that are there come
        first.
    save_every_s : float
        Seconds between checkpoints.
    progress : callable
        Told the stage and the part of it that is done.

    Returns
    -------
    list of Path
        The checkpoints, to be exported by `burden.train.export`.

    Raises
    ------
    ModelError
        If the bundle to go on from is damaged.
    UsageError
        If its networks are of other widths than the settings say.
    """
    bundle = None if start is None else read_bundle(start)
    plan = settings.read_settings(config or config_of(start))
    out.mkdir(parents=True, exist_ok=True)
    pack = data if data.suffix == ".npz" else _packed(data, out / "pack.npz")
    cases = {case: pair for case, pair in load_pack(pack).items() if case not in plan.held_out}
    chosen = [one for one in plan.stages if stage in (None, one.name)]
    if not chosen:
        raise ValueError(f"no stage {stage!r} in the settings")
    share = sum(one.share for one in chosen)
    done = []
    for one in chosen:
        healthy = [augment.prepare(hu, classes, one.factor) for hu, classes in cases.values()]
        limit_s = None if minutes is None else 60 * minutes * one.share / share
        limit_steps = steps if steps is not None else (None if limit_s else one.steps)
        run = _Run(one, out / f"{one.name}.pt", pick_device(device), seed, bundle)
        done.append(run.go(healthy, limit_s, limit_steps, save_every_s, progress))
    return done


def default_config() -> Path:
    """``train.yaml`` of the shipped bundle."""
    from burden.resources import shipped

    return shipped("models", "liver_burden_ctmr", "configs", "train.yaml")


def config_of(start: Path | None) -> Path:
    """``train.yaml`` of the bundle that a training goes on from, or else of the shipped one."""
    return default_config() if start is None else start / "configs" / "train.yaml"


def pick_device(name: str) -> str:
    """Resolve "auto"."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _has_bf16(device: str) -> bool:
    """Whether bf16 is faster here: on CUDA, and on CPUs with instructions for it."""
    import torch

    if device.startswith("cuda"):
        return True
    has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device == "cpu" and bool(has())


def _packed(folder: Path, pack: Path) -> Path:
    """Pack once; a later run uses the pack that is there."""
    return pack if pack.exists() else pack_folder(folder, pack)


class _Run:
    """One stage: network, averaged weights, optimiser, and how far they have come."""

    def __init__(
        self, stage: Stage, path: Path, device: str, seed: int, start: Bundle | None = None
    ) -> None:
        import torch

        from burden.segment.network import folded_unet

        torch.manual_seed(seed)
        self.stage, self.path, self.device, self.seed = stage, path, device, seed
        net = folded_unet(stage.features, stage.classes, stage.channels, stage.detail)
        self.net = net.to(device)
        self.ema = {name: value.detach().clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=1e-3, weight_decay=stage.weight_decay
        )
        self.step, self.elapsed_s = 0, 0.0
        self.journal = path.with_name("train.csv")
        if path.exists():
            self._load()
        elif start is not None:
            self._start_from(start)

    def go(
        self,
        cases: list[augment.Healthy],
        limit_s: float | None,
        limit_steps: int | None,
        save_every_s: float,
        progress: Progress,
    ) -> Path:
        """Train until the time or the steps are used up; a checkpoint every `save_every_s`."""
        saved = clock = time.monotonic()
        recent: list[float] = []
        while (done := self._done(limit_s, limit_steps)) < 1:
            progress(self.stage.name, done)
            loss = self._one_step(cases, done)
            recent += [] if loss is None else [loss]
            now = time.monotonic()
            self.elapsed_s, clock = self.elapsed_s + now - clock, now
            if self.step % 20 == 0:
                loss = sum(recent) / len(recent) if recent else math.nan
                curve.note(self.journal, self.stage.name, self.step, loss, done, self.elapsed_s)
                recent.clear()
            if now - saved > save_every_s:
                self._save()
                saved = now
        self._save()
        progress(self.stage.name, 1.0)
        return self.path

    def _done(self, limit_s: float | None, limit_steps: int | None) -> float:
        """Part of the run that is done, by whichever limit is nearer."""
        by_time = self.elapsed_s / limit_s if limit_s else 0.0
        by_steps = self.step / limit_steps if limit_steps else 0.0
        return max(by_time, by_steps)

    def _one_step(self, cases: list[augment.Healthy], progress: float) -> float | None:
        """Draw a patch, take one optimiser step, update the averaged weights.

        Returns the loss; None where the step was left out.
        """
        import torch

        draw = Draw(self.seed * 1000 + self.stage.factor, self.step)
        phase = self.stage.phase(progress)
        image, target = augment.make_patch(cases, phase.recipe, draw)
        if self.stage.merge_lesions:
            target = torch.where(target == LESION, LIVER, target)
        target = torch.where(target < self.stage.classes, target, 0)
        warm_up = min(1.0, (self.step + 1) / 30)
        for group in self.optimiser.param_groups:
            group["lr"] = phase.learning_rate * warm_up * (1 - progress) ** self.stage.decay_power
            group["betas"] = (0.9, phase.beta2)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=_has_bf16(self.device)):
            logits = self.net(image[:, : self.stage.channels].to(self.device))
        weights = torch.tensor(phase.class_weights, dtype=torch.float32, device=self.device)
        loss = segmentation_loss(logits, target.to(self.device), weights, phase.recipe.spacing_mm)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), phase.clip)
        self.step += 1
        if not bool(torch.isfinite(norm)):  # rare in bf16: one such step would spoil every weight
            log.warning("%s step %d: gradient not finite, step left out", self.stage.name, self.step)
            return None
        self.optimiser.step()
        decay = min(phase.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                self.ema[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _save(self) -> None:
        """Write the checkpoint beside the old one, then replace it."""
        import torch

        state: dict[str, Any] = {
            "stage": self.stage.name,
            "features": list(self.stage.features),
            "classes": self.stage.classes,
            "channels": self.stage.channels,
            "detail": self.stage.detail,
            "net": self.net.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.path)
        curve.draw(self.journal, self.journal.with_suffix(".png"))

    def _start_from(self, bundle: Bundle) -> None:
        """Take the weights of the same network of a bundle; one without a head gets an untrained one."""
        network: Network = getattr(bundle, self.stage.name)
        for what in ("features", "classes", "channels", "detail"):
            there, wanted = getattr(network, what), getattr(self.stage, what)
            if there != wanted and (what, there) != ("detail", 0):
                raise UsageError(
                    f"{self.stage.name} of this bundle has {what} {there}; the settings say {wanted}.",
                    where=bundle.folder,
                    hint="Change the settings (--config), or start from chance.",
                )
        weights = load_network(bundle, network, self.device).state_dict()
        self.net.load_state_dict(self.net.state_dict() | weights)
        self.ema = {name: value.detach().clone() for name, value in self.net.state_dict().items()}

    def _load(self) -> None:
        """Go on from the checkpoint."""
        import torch

        state: dict[str, Any] = torch.load(self.path, map_location=self.device, weights_only=True)
        if state["features"] != list(self.stage.features):
            raise ValueError(f"{self.path} was trained with other network widths than the settings")
        self.net.load_state_dict(state["net"])
        self.ema = state["ema"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
