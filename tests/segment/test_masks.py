"""Given masks in place of the model, whole or in part."""

from __future__ import annotations

import numpy as np
import pytest

from burden.errors import InputError
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels, Segmentation
from burden.segment.masks import from_masks, with_masks

GRID = Grid((6, 6, 6), np.diag([1.0, 1, 2, 1]))


def labels(*boxes: tuple[int, slice]) -> Labels:
    data = np.zeros(GRID.shape, np.uint8)
    for value, along in boxes:
        data[along] = value
    return Labels(data, GRID)


LIVER = labels((3, slice(0, 5)))


def test_one_label_leaves_lesions_to_be_told_apart() -> None:
    assert not from_masks(LIVER, labels((1, slice(1, 2))), None).separate
    assert from_masks(LIVER, labels((1, slice(1, 2)), (2, slice(3, 4))), None).separate


def test_no_lesion_mask_is_no_lesion() -> None:
    found = from_masks(LIVER, None, None)
    assert found.liver.data.max() == 1
    assert not found.lesions.data.any()


def test_empty_liver_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        from_masks(labels(), labels(), None)


def test_couinaud_labels_are_checked() -> None:
    with pytest.raises(InputError, match="1 to 8"):
        from_masks(LIVER, labels(), labels((9, slice(0, 1))))


def test_a_given_part_replaces_the_models_and_its_error() -> None:
    model = Segmentation(
        liver=labels((1, slice(0, 6))),
        lesions=labels((1, slice(1, 2)), (1, slice(5, 6))),
        source="model",
        liver_boundary_sd_mm=2.0,
        lesion_boundary_sd_mm=1.5,
        lesion_existence=(0.0, 1.0, 1.0),
        lesion_probability=np.ones(GRID.shape, np.float32),
    )
    both = with_masks(model, LIVER, None, None)
    assert both.lesions.data[5].max() == 0, "the model's lesions end where the given liver ends"
    assert (both.liver_boundary_sd_mm, both.lesion_boundary_sd_mm) == (0.0, 1.5)
    given = with_masks(model, None, labels((1, slice(2, 3))), None)
    assert given.lesion_existence is None
    assert given.lesion_boundary_sd_mm == 0.0
    assert "lesions" in given.source
    assert with_masks(model, None, None, None) is model


def test_given_lesions_end_what_was_said_of_the_models() -> None:
    """A model that knows no lesions leaves tumor unknown; a lesion mask beside it makes it known."""
    said = tuple(
        Finding(code, "error", code, ("tumor.*",))
        for code in ("lesions-not-segmented", "lesions-overlooked", "model-of-another-modality")
    )
    model = Segmentation(liver=LIVER, lesions=labels(), source="model", findings=said)
    left = with_masks(model, None, labels((1, slice(2, 3))), None).findings
    assert [f.code for f in left] == ["model-of-another-modality"]
    assert with_masks(model, LIVER, None, None).findings == said


def test_a_given_liver_stands_where_the_model_is_not_believed() -> None:
    unsound = Finding("mr-model-unsound", "error", "Not to be trusted.", ("*",))
    model = Segmentation(liver=LIVER, lesions=labels(), source="model", findings=(unsound,))
    (said,) = with_masks(model, LIVER, None, None).findings
    assert said.code == "mr-model-unsound"
    assert {"tumor.*", "flr.*", "spleen.*"} <= set(said.invalidates)
    assert "*" not in said.invalidates
    assert with_masks(model, None, labels((1, slice(2, 3))), None).findings == (unsound,)


def test_a_model_that_found_no_liver_leaves_the_tumor_in_a_given_one_unknown() -> None:
    nothing = Finding("no-liver-found", "error", "The model found no liver in this image.", ("*",))
    model = Segmentation(liver=labels(), lesions=labels(), source="model", findings=(nothing,))
    (said,) = with_masks(model, LIVER, None, None).findings
    assert said.code == "lesions-not-segmented"
    assert "tumor.*" in said.invalidates
    assert with_masks(with_masks(model, LIVER, None, None), None, LIVER, None).findings == ()
