"""Write a tiny trained-model folder of nnU-Net v2 with its own trainer:
`python nnunet_folder.py OUT [--regions]`.

Run as a program of its own, because nnunetv2 takes where it writes from the environment. The network
is a two-stage PlainConvUNet whose weights name a voxel by its intensity (see conftest.nearest_class).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def main(out: Path) -> None:
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(out / name)
        (out / name).mkdir(parents=True, exist_ok=True)
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from_here = Path(__file__).with_name("conftest.py")
    spec = importlib.util.spec_from_file_location("segment_conftest", from_here)
    assert spec is not None
    assert spec.loader is not None
    body = importlib.util.module_from_spec(spec)
    sys.modules["segment_conftest"] = body  # dataclasses look their module up
    spec.loader.exec_module(body)

    regions = "--regions" in sys.argv
    labels = {"background": 0, "liver": [1, 2] if regions else 1, "tumor": 2, "spleen": 3}
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        **({"regions_class_order": [1, 2, 3]} if regions else {}),
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    folder = out / "results" / "Dataset901_Toy" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    fold = folder / "fold_0"
    fold.mkdir(parents=True)
    written = plans(body)
    trainer = nnUNetTrainer(
        {**written, "continue_training": False}, "3d_fullres", 0, dataset, torch.device("cpu")
    )
    trainer.output_folder = str(fold)
    with suppress(FileNotFoundError):  # it looks for preprocessed data once the network is there
        trainer.initialize()
    assert trainer.network is not None
    set_weights(trainer.network, *(of_regions(body) if regions else of_classes(body)), body)
    trainer._best_ema = np.float64(0.5)  # a trained one holds numbers of numpy
    trainer.save_checkpoint(str(fold / "checkpoint_final.pth"))
    (folder / "plans.json").write_text(json.dumps(written), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    print(folder)


def plans(body: Any) -> dict[str, Any]:
    """What nnU-Net's planner writes, for a network of two stages."""
    convolution = "torch.nn.modules.conv.Conv3d"
    resample = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2, "features_per_stage": [8, 8], "conv_op": convolution,
            "kernel_sizes": [[3, 3, 3]] * 2, "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1], "conv_bias": True, "norm_op": None, "norm_op_kwargs": None,
            "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.ReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip
    fullres = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2, "patch_size": [24, 32, 32], "median_image_size_in_voxels": [26.0, 48.0, 68.0],
        "spacing": [5.0, 4.0, 4.0], "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False], "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": resample,
        "resampling_fn_seg_kwargs": {**resample, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resample, "order": 1}, "architecture": architecture,
        "batch_dice": True,
    }  # fmt: skip
    span = float(body.HIGH - body.LOW)
    intensity = {"percentile_00_5": float(body.LOW), "percentile_99_5": float(body.HIGH),
                 "mean": float(body.LOW), "std": span, "max": 3000.0, "min": -1024.0,
                 "median": 60.0}  # fmt: skip
    return {
        "dataset_name": "Dataset901_Toy", "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [5.0, 4.0, 4.0],
        "original_median_shape_after_transp": [26, 48, 68], "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": fullres}, "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {"0": intensity},
    }  # fmt: skip


def of_classes(body: Any) -> tuple[Any, Any]:
    """What each hinge, and a constant, adds to the logit of each class."""
    import torch

    return body.nearest_class()[2], torch.zeros(4)


def of_regions(body: Any) -> tuple[Any, Any]:
    """The same for liver with tumor, tumor, and spleen, each of which is there above 0.

    Of two values |x - a| + |x - b| stays within their distance and twice a margin about them.
    """
    import torch

    hu = [body.HU[name] for name in ("body", "liver", "lesion", "spleen")]
    mixing, constant = torch.zeros(3, 8), torch.zeros(3)
    for n, (a, b, margin) in enumerate(((1, 2, 45), (2, 2, 40), (3, 3, 45))):
        for one in (a, b):
            mixing[n, 2 * one : 2 * one + 2] -= body.STEEP
        constant[n] = body.STEEP * (hu[b] - hu[a] + 2 * margin) / (body.HIGH - body.LOW)
    return mixing, constant


def set_weights(network: Any, mixing: Any, constant: Any, body: Any) -> None:
    import torch

    slopes, offsets, _ = body.nearest_class()
    wanted = {
        "encoder.stages.0.0.convs.0.conv": lambda w, b: (hinges(w, slopes), b.copy_(offsets)),
        "decoder.stages.0.convs.0.conv": lambda w, b: skip(w),
        "decoder.seg_layers.0": lambda w, b: (w[:, :, 0, 0, 0].copy_(mixing), b.copy_(constant)),
    }

    def hinges(weight: Any, slopes: Any) -> None:
        weight[:, 0, 1, 1, 1] = slopes

    def skip(weight: Any) -> None:
        weight[torch.arange(8), torch.arange(8) + 8, 1, 1, 1] = 1.0  # [upsampled, skipped]

    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        for name, change in wanted.items():
            layer = network.get_submodule(name)
            change(layer.weight, layer.bias)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
