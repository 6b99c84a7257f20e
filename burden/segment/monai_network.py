"""Back end: any MONAI bundle with one network, described by itself or by ``burden.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.errors import ModelError
from burden.grid import Grid
from burden.image import Segmentation
from burden.segment import description as say
from burden.segment.description import Step
from burden.segment.foreign import build, check_hash, find_weights, hash_of, load_weights, weights_path
from burden.segment.monai_settings import settings_of
from burden.segment.naming import Naming, Terms, assemble
from burden.segment.orient import model_grid, resampled
from burden.segment.sampling import from_upright

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from burden.image import Volume

Progress = Callable[[str, float], None]

PROMPTED = "vista3d132"
"""This network is asked for classes by number and answers for each alone."""


@dataclass(frozen=True)
class Plan:
    """Everything needed to run a foreign network.

    Parameters
    ----------
    orientation, spacing_mm
        Where the array axes point to, and the voxel size; None as the image comes.
    window, overlap
        Of the sliding window, voxels and share.
    output
        ``softmax`` (the best class wins) or ``sigmoid`` (each class from one half on).
    """

    folder: Path
    network: str
    args: Mapping[str, Any]
    weights: str
    hashes: Mapping[str, str]
    orientation: str
    spacing_mm: tuple[float, float, float] | None
    intensity: tuple[Step, ...]
    window: tuple[int, int, int]
    overlap: float
    output: str
    naming: Naming
    terms: Terms


def from_folder(folder: Path) -> NetworkSegmenter:
    """Segmenter of a bundle folder; checks what it can now, loads the network when called.

    Raises
    ------
    ModelError
        If something is missing, not plain, or not the one its hash names; the message says which.
    """
    plan = read_plan(folder)
    digest = check_hash(weights_path(folder, plan.weights), hash_of(plan.weights, plan.hashes))
    return NetworkSegmenter(plan, digest)


def read_plan(folder: Path) -> Plan:
    """Settings of a bundle, checked.

    Raises
    ------
    ModelError
        Naming the setting that is missing or wrong, and how to say it.
    """
    table = settings_of(folder)

    def network(value: Any) -> tuple[str, dict[str, Any]]:
        return str(value["name"]), dict(value["args"])

    def spacing(value: Any) -> tuple[float, float, float] | None:
        return None if value is None else say.three(float, 0.1, 20.0)(value)

    def get(key: str, check: Callable[[Any], Any], wanted: str) -> Any:
        return say.checked(table, key, folder, check, wanted)

    name, args = get("network", network, "{name: UNet, args: {spatial_dims: 3, in_channels: 1}}")
    weights = str(table["weights"]) if "weights" in table else find_weights(folder)
    return Plan(
        folder=folder,
        network=name,
        args=args,
        weights=weights,
        hashes=get("sha256", say.hashes, "{models/model.pt: HEX}"),
        orientation=get("orientation", say.codes, "RAS"),
        spacing_mm=get("spacing_mm", spacing, "[1.5, 1.5, 2.0]"),
        intensity=get("intensity", say.steps, "[{range: [-175, 250], to: [0, 1]}]"),
        window=get("window", say.three(int, 16, 512), "[96, 96, 96]"),
        overlap=get("overlap", say.share, "0.5") if "overlap" in table else 0.25,
        output=get("output", say.one_of("softmax", "sigmoid"), "softmax"),
        naming=say.naming(table, folder),
        terms=say.terms(table, folder.name, folder),
    )


@dataclass(frozen=True)
class NetworkSegmenter:
    """A foreign network as a `Segmenter`.

    Parameters
    ----------
    sha256
        Of its weights.
    """

    plan: Plan
    sha256: str

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Segment a volume; the decision falls on its own grid.

        Raises
        ------
        ModelError
            If the network cannot be built or its weights do not fit.
        """
        import torch

        plan = self.plan
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        net = build(plan.network, plan.args, plan.folder)
        load_weights(net, plan.folder, plan.weights, plan.hashes)
        progress("resample", 0.0)
        grid = model_grid(volume.grid, plan.orientation, plan.spacing_mm)
        image = torch.from_numpy(prepared(resampled(volume, grid), plan.intensity))
        shares = _slide(net.to(device).eval(), image, plan, device, progress)
        labels = _decide(shares, plan, grid, volume.grid, progress)
        return assemble(labels, plan.naming, volume, plan.terms)


def prepared(values: NDArray[np.float32], steps: tuple[Step, ...]) -> NDArray[np.float32]:
    """Image values to network input."""
    for step in steps:
        counted = values[values != 0] if step.nonzero else values.ravel()
        if not counted.size:
            continue
        low, high = step.low, step.high
        if step.kind == "percentiles":
            low, high = (float(v) for v in np.percentile(counted, (step.low, step.high)))
        elif step.kind == "minmax":
            low, high = float(counted.min()), float(counted.max())
        if step.kind == "zscore":
            changed = (values - counted.mean()) / (float(counted.std()) or 1.0)
        else:
            first, last = step.to
            changed = (values - low) * ((last - first) / max(high - low, 1e-6)) + first
            if step.clip:
                changed = np.clip(changed, min(step.to), max(step.to))
        values = np.where(values != 0, changed, values) if step.nonzero else changed
    return np.ascontiguousarray(values, dtype=np.float32)


def _slide(
    net: torch.nn.Module, image: torch.Tensor, plan: Plan, device: str, progress: Progress
) -> torch.Tensor:
    """Shares of the classes of `_kept`, in overlapping windows padded with the darkest value (air)."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    done, steps = 0, [max(1, int(edge * (1 - plan.overlap))) for edge in plan.window]
    counts = [
        1 + max(0, -(-(size - edge) // step))
        for size, edge, step in zip(image.shape, plan.window, steps, strict=True)
    ]
    asked = torch.tensor([[n] for n in plan.naming.known], device=device)

    def predict(batch: torch.Tensor) -> torch.Tensor:
        nonlocal done
        prompts = {"class_vector": asked, "transpose": True} if plan.network == PROMPTED else {}
        out = net(batch, **prompts)
        done += 1
        progress("segment", min(1.0, done / float(np.prod(counts))))
        return _kept((out[0] if isinstance(out, list | tuple) else out).float(), plan)

    try:
        with torch.inference_mode():
            found = sliding_window_inference(
                image[None, None],
                roi_size=plan.window,
                sw_batch_size=1,
                predictor=predict,
                overlap=plan.overlap,
                mode="gaussian",
                padding_mode="constant",
                cval=float(image.min()),
                sw_device=device,
                device="cpu",
            )
    except (RuntimeError, ValueError, IndexError) as error:
        first = (str(error).splitlines() or ["?"])[0]
        raise ModelError(
            f"the network cannot be run on windows of {plan.window} ({first[:160]}).",
            where=plan.folder,
            hint="Check window, in_channels and strides.",
        ) from error
    assert isinstance(found, torch.Tensor)  # noqa: S101  # one output, so no tuple or dict
    return torch.sigmoid(found[0]) if _by_half(plan) else torch.exp(found[0])


def _by_half(plan: Plan) -> bool:
    return plan.output == "sigmoid" or plan.network == PROMPTED


def _kept(logits: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Of a window's answer (batch, channels, i, j, k) what is named here, in that order.

    With softmax as logarithms of shares, and the largest of the other classes last, since they compete
    as one: of a network of a hundred classes a whole scan would not fit into memory.
    """
    import torch

    known, channels = plan.naming.known, logits.shape[1]
    if plan.network == PROMPTED:
        return logits
    if max(known) >= channels:
        raise ModelError(
            f"label {max(known)} is named, but the network has {channels} output channels.",
            where=plan.folder,
        )
    if channels == 1 and not _by_half(plan):
        raise ModelError(
            "the network has one output channel, of which softmax makes certainty everywhere.",
            where=plan.folder,
            hint="Say in burden.yaml: output: sigmoid.",
        )
    if _by_half(plan):
        return logits[:, list(known)]
    shares = torch.log_softmax(logits, 1)
    others = [n for n in range(channels) if n not in known]
    if not others:
        return shares[:, list(known)]
    return torch.cat([shares[:, list(known)], shares[:, others].amax(1, keepdim=True)], 1)


def _decide(
    shares: torch.Tensor, plan: Plan, grid: Grid, native: Grid, progress: Progress
) -> NDArray[np.int32]:
    """Class of each native voxel, -1 for none; ``shares`` as of `_slide`."""
    known, by_half = plan.naming.known, _by_half(plan)
    best = np.full(native.shape, 0.5 if by_half else 0.0, np.float32)
    if len(shares) > len(known):
        best = from_upright(shares[-1].numpy(), grid, native)
    winner = np.full(native.shape, -1, np.int32)  # 0 may be a class, the liver even
    # Of overlapping answers (sigmoid) the more special one holds: a lesion is also liver.
    order = sorted(enumerate(known), key=lambda one: one[1] in plan.naming.lesion)
    for number, (channel, value) in enumerate(order):
        progress("decide", number / len(order))
        share = from_upright(shares[channel].numpy(), grid, native)
        wins = share > best
        if by_half:
            wins = share > 0.5 if value in plan.naming.lesion else wins
        winner[wins] = value
        best[wins] = share[wins]
    progress("decide", 1.0)
    return winner
