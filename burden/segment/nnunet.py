"""Back end: a trained-model folder of nnU-Net v2, run by nnunetv2 itself where it is installed.

The folder is the one called ``TRAINER__PLANS__CONFIGURATION``: plans.json, dataset.json and
fold_*/checkpoint_final.pth. nnunetv2 reads a checkpoint as a pickle that may run code; here it is
read as data, unless ``burden.yaml`` says ``trusted: true``. Plans may name classes to import: only
those of nnU-Net's own architectures and of torch.nn are allowed.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.errors import ModelError
from burden.image import Segmentation
from burden.segment import description as say
from burden.segment.description import FILE, read_description
from burden.segment.foreign import check_hash, hash_of, load_tensors
from burden.segment.naming import Naming, Terms, assemble
from burden.segment.orient import model_grid, orientation, resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from burden.image import Volume

Progress = Callable[[str, float], None]
Json = dict[str, Any]

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
INSTALL = 'Install it: pip install "liver-burden[nnunet]".'
_CLASS = re.compile(r"dynamic_network_architectures\.(\w+\.)*\w+|torch\.nn(\.modules\.\w+)?\.\w+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Trained:
    """A trained-model folder, checked.

    Parameters
    ----------
    checkpoints
        One a fold; their predictions are averaged.
    orientation
        Where the axes point of the images that it was trained on.
    mirror
        Average over mirrored images, as nnU-Net does by itself; up to eight times slower.
    trusted
        The owner of the folder vouches for its pickles.
    """

    folder: Path
    plans: Json
    dataset: Json
    checkpoints: tuple[Path, ...]
    naming: Naming
    terms: Terms
    orientation: str
    mirror: bool
    trusted: bool
    sha256: Mapping[str, str]


def from_folder(folder: Path) -> TrainedSegmenter:
    """Segmenter of a trained-model folder; checks it now, loads the network when called.

    Raises
    ------
    ModelError
        If nnunetv2 is not installed, or the folder is incomplete or names what may not be run.
    """
    import importlib.util

    trained = read_folder(folder)
    if importlib.util.find_spec("nnunetv2") is None:
        raise ModelError(
            "this model needs nnunetv2, which is not installed.", where=folder, hint=INSTALL
        )
    return TrainedSegmenter(trained)


def read_folder(folder: Path) -> Trained:
    """Read and check plans, dataset and checkpoints; nothing is loaded.

    Raises
    ------
    ModelError
        If a part is missing or damaged, or the plans name a class that is not allowed.
    """
    own = read_description(folder)
    plans, dataset = _json(folder / "plans.json"), _json(folder / "dataset.json")
    _refuse_code(plans, folder)
    channels: Json = dataset.get("channel_names") or dataset.get("modality") or {}
    if len(channels) != 1:
        raise ModelError(f"it wants {len(channels)} input images; one is given here.", where=folder)
    labels = dataset.get("labels", {})
    if all(str(key).isdigit() for key in labels):  # the order of nnU-Net v1: number to name
        labels = {str(name): int(number) for number, name in labels.items()}
    labels = {n: v for n, v in labels.items() if n not in ("background", "ignore")}
    table = {
        "labels": labels,
        "modalities": _modalities(channels),
        "text": f"nnU-Net {folder.name}",
    } | own
    checkpoints = _checkpoints(folder, own)
    wanted = say.checked({"sha256": {}} | own, "sha256", folder, say.hashes, "{FILE: HEX}")
    names = {path: path.relative_to(folder).as_posix() for path in checkpoints}
    return Trained(
        folder=folder,
        plans=plans,
        dataset=dataset,
        checkpoints=checkpoints,
        naming=say.naming(table, folder),
        terms=say.terms(table, folder.name, folder),
        orientation=say.checked(table, "orientation", folder, say.codes, "RAS")
        if "orientation" in table
        else "RAS",
        mirror=say.checked({"mirror": True} | own, "mirror", folder, say.flag, "false"),
        trusted=table.get("trusted") is True,
        sha256={name: check_hash(path, hash_of(name, wanted)) for path, name in names.items()},
    )


@dataclass(frozen=True)
class TrainedSegmenter:
    """A trained nnU-Net as a `Segmenter`."""

    trained: Trained

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Segment a volume in the orientation that the model was trained on.

        Raises
        ------
        ModelError
            If the network cannot be built from the plans or its weights do not fit.
        """
        trained = self.trained
        grid = model_grid(volume.grid, trained.orientation, None)
        image = resampled(volume, grid).transpose(2, 1, 0)[None]  # nnU-Net's arrays are [c, k, j, i]
        progress("load", 0.0)
        with _quiet():
            predictor = _predictor(trained, device)
        progress("segment", 0.0)
        spacing = {"spacing": [float(s) for s in reversed(grid.spacing)]}
        with _quiet():
            try:
                labels = predictor.predict_single_npy_array(np.ascontiguousarray(image), spacing)
            except (RuntimeError, ValueError, KeyError, AttributeError, ImportError) as error:
                raise _failed("nnU-Net could not run it", trained, error) from error
        progress("segment", 1.0)
        turned: NDArray[np.integer] = np.asarray(labels).transpose(2, 1, 0)
        turn = orientation(volume.grid, trained.orientation)
        native = np.asarray(turn.back(turned), dtype=np.int64)
        return assemble(native, trained.naming, volume, trained.terms)


def _predictor(trained: Trained, device: str) -> Any:
    """nnU-Net's own predictor, given plans and weights that were read as data."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    found = [_checkpoint(path, trusted=trained.trusted) for path in trained.checkpoints]
    try:
        name = str(found[0]["init_args"]["configuration"])
        axes = found[0].get("inference_allowed_mirroring_axes")
        plans = PlansManager(trained.plans)
        configuration = plans.get_configuration(name)
        network = nnUNetTrainer.build_network_architecture(
            plans,
            configuration,
            determine_num_input_channels(plans, configuration, trained.dataset),
            plans.get_label_manager(trained.dataset).num_segmentation_heads,
            enable_deep_supervision=False,
        )
        weights = [one["network_weights"] for one in found]
        network.load_state_dict(weights[0])
        predictor = nnUNetPredictor(
            use_mirroring=trained.mirror, device=torch.device(device), allow_tqdm=False
        )
        predictor.manual_initialization(
            network, plans, configuration, weights, trained.dataset, "nnUNetTrainer", axes
        )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, ImportError) as error:
        raise _failed("nnU-Net could not be set up", trained, error) from error
    return predictor


def _checkpoint(path: Path, *, trusted: bool) -> Json:
    """A checkpoint as data; numbers of numpy, which nnU-Net puts in its log, are harmless.

    Raises
    ------
    ModelError
        If it holds more and is not trusted.
    """
    import numpy._core.multiarray as multiarray
    import torch

    if trusted:
        found = torch.load(path, map_location="cpu", weights_only=False)  # vouched for
    else:
        numbers = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.bool_)]
        try:
            found = load_tensors(path, (multiarray.scalar, np.dtype, *numbers))
        except ModelError as error:
            hint = f"If you trust where it came from, say so: trusted: true in {FILE} beside plans.json."
            raise ModelError(error.what, where=path, hint=hint) from error
    if not isinstance(found, dict) or "network_weights" not in found:
        raise ModelError("not a checkpoint of nnU-Net v2.", where=path)
    return found


def _json(path: Path) -> Json:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = "Give the folder TRAINER__PLANS__CONFIGURATION with plans.json, dataset.json and fold_0/."
        raise ModelError("missing in this nnU-Net folder.", where=path, hint=hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("cannot be read as JSON.", where=path) from error
    if not isinstance(table, dict):
        raise ModelError("a table is needed.", where=path)
    return table


def _checkpoints(folder: Path, own: Json) -> tuple[Path, ...]:
    """One checkpoint of each fold, or of the folds that ``burden.yaml`` names."""
    wanted = say.checked({"folds": []} | own, "folds", folder, say.words, "[0, 1]")
    found = []
    for fold in sorted(folder.glob("fold_*")):
        number = fold.name.removeprefix("fold_")
        if (wanted and number not in wanted) or (not wanted and number == "all"):
            continue
        there = [fold / name for name in CHECKPOINTS if (fold / name).is_file()]
        found += there[:1]
    if not found and not wanted:
        found = [p for name in CHECKPOINTS if (p := folder / "fold_all" / name).is_file()][:1]
    if not found or len(found) < len(wanted):
        raise ModelError(
            "no trained fold is in it.", where=folder, hint=f"fold_0/{CHECKPOINTS[0]} is needed."
        )
    return tuple(found)


def _modalities(channels: Mapping[str, Any]) -> list[str]:
    name = str(next(iter(channels.values()))).upper()
    return ["CT"] if name == "CT" else ["MR"] if name.startswith(("MR", "T1", "T2")) else ["CT", "MR"]


def _refuse_code(plans: Json, folder: Path) -> None:
    """Refuse plans that name a class or function outside nnU-Net and torch.nn."""
    for configuration in dict(plans.get("configurations", {})).values():
        block = configuration.get("architecture", {})
        kwargs = dict(block.get("arch_kwargs", {}))
        named = [block.get("network_class_name")]
        named += [kwargs.get(key) for key in block.get("_kw_requires_import", ())]
        for name in named:
            if name is not None and not _CLASS.fullmatch(str(name)):
                raise ModelError(
                    f"its plans name {name!r}, which is not run.", where=folder / "plans.json"
                )
        words = [
            v
            for k, v in configuration.items()
            if k == "preprocessor_name" or k.startswith("resampling_fn")
        ]
        words += list(configuration.get("normalization_schemes", ()))
        for word in words:
            if isinstance(word, str) and not _WORD.fullmatch(word):
                raise ModelError(
                    f"its plans name {word!r}, which is not run.", where=folder / "plans.json"
                )


def _failed(what: str, trained: Trained, error: Exception) -> ModelError:
    first = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return ModelError(f"{what} ({type(error).__name__}: {first}).", where=trained.folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """nnU-Net prints as it goes; standard output belongs to the result."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
