"""Specs: reading, refusing, and the patterns they draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from burden.errors import InputError
from burden.phantom import LesionSpec, Spec, load_spec, make, random_spec
from burden.phantom.blobs import Blob
from burden.phantom.scatter import settle
from burden.phantom.spec import from_table, to_table
from burden.phantom.survey import LEFT, RIGHT, survey
from burden.phantom.truth import fact_truth, lesion_truth
from burden.resources import shipped

SHIPPED = sorted(shipped("configs", "phantoms").glob("*.yaml"))


def truth_of(spec: Spec):  # type: ignore[no-untyped-def]
    spec = settle(spec)
    blobs = tuple(Blob.of(one, spec.seed + n) for n, one in enumerate(spec.lesions))
    rows = lesion_truth(spec, blobs)
    return spec, rows, fact_truth(spec, rows)


def test_a_spec_survives_yaml(tmp_path: Path) -> None:
    spec = settle(random_spec(3, frilling="III", oblique=True, any_order=True, modality="MR"))
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(to_table(spec)))
    assert load_spec(path) == spec
    assert load_spec(path).digest == spec.digest


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"colour": 1}, "colour"),
        ({"modality": "PET"}, "modality"),
        ({"modality": "MR", "phase": "portal"}, "phase"),
        ({"shape": [4, 4, 4]}, "shape"),
        ({"spacing": [1, 1, 50]}, "spacing"),
        ({"order": "LPL"}, "order"),
        ({"anatomy": {"nose": 2}}, "nose"),
        ({"anatomy": {"scale": [9, 1, 1]}}, "anatomy.scale"),
        ({"lesions": [{"look": "blue", "segment": 4}]}, r"lesions\[0\].look"),
        ({"lesions": [{"look": "hypo"}]}, r"lesions\[0\].segment"),
        ({"lesions": [{"segment": 4, "radius": 4}]}, "radius"),
        ({"lesions": {"segment": 4}}, "lesions"),
        ({"shape": "large"}, "phantom spec"),
        ({"frilling": "IV"}, "frilling"),
        ({"seed": -1}, "seed"),
        ({"anatomy": {"seed": 1.5}}, "anatomy.seed"),
    ],
)
def test_a_wrong_field_is_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        from_table(table)


def test_a_file_that_is_no_spec_is_refused(tmp_path: Path) -> None:
    for text in ("a: [1", "- 1\n- 2\n", "just words"):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(InputError, match=r"x\.yaml"):
            load_spec(tmp_path / "x.yaml")
    with pytest.raises(InputError, match=r"none\.yaml"):
        load_spec(tmp_path / "none.yaml")


def test_lesions_that_cannot_be_are_refused() -> None:
    outside = Spec(lesions=(LesionSpec("hypo", (90.0, 50.0, -100.0)),))
    with pytest.raises(InputError, match="outside the liver"):
        settle(outside)
    twice = Spec(
        lesions=(LesionSpec("hypo", (-70.0, -20.0, -60.0)), LesionSpec("rim", (-62.0, -20.0, -60.0)))
    )
    with pytest.raises(InputError, match="runs into lesion 0"):
        settle(twice)
    with pytest.raises(InputError, match="does not fit into segment 3"):
        settle(Spec(lesions=(LesionSpec("hypo", None, 3, (120.0, 120.0, 120.0)),)))
    with pytest.raises(InputError, match="does not fit"):
        settle(Spec(frilling="I", pattern={"burden": 60}))


@pytest.mark.parametrize("segment", range(1, 9))
def test_a_lesion_lands_in_its_segment(segment: int) -> None:
    _, rows, _ = truth_of(Spec(lesions=(LesionSpec("hypo", None, segment, (8.0, 8.0, 8.0)),)))
    assert rows[0].segments[segment] > 0.5


@pytest.mark.parametrize("seed", range(8))
def test_patterns_are_built_as_they_say(seed: int) -> None:
    kind = ("I", "II", "III", "unilobar")[seed % 4]
    _, rows, facts = truth_of(random_spec(seed, frilling=kind))
    right, left = (
        sum(r.volume_ml * r.segments.get(n, 0) for r in rows for n in side) for side in (RIGHT, LEFT)
    )
    lesser = min(right, left) / (right + left)
    assert all(r.lobe in ("right", "left") for r in rows)
    assert facts["frilling.type"].best == ("I" if kind == "unilobar" else kind)
    if kind == "I":
        assert len(rows) == 1
    elif kind == "unilobar":
        assert len(rows) >= 2
        assert lesser < 1e-6
        assert facts["frilling.type.frilling2009"].best == "II"
    elif kind == "II":
        small = [r for r in rows if r.lobe == ("left" if right > left else "right")]
        assert 1 <= len(small) <= 4
        assert 0 < lesser <= 0.2
        assert max(r.feret_3d_mm for r in small) <= max(r.feret_3d_mm for r in rows) / 3
    else:
        assert len(rows) >= 6
        assert lesser >= 0.3


def test_burden_comes_out_near_the_one_asked_for() -> None:
    for kind, burden in (("I", 2.0), ("II", 12.0), ("III", 15.0)):
        _, _, facts = truth_of(random_spec(21, frilling=kind, burden=(burden, burden)))
        assert facts["tumor.burden"].best == pytest.approx(burden, rel=0.12)


def test_no_lesion_means_none_and_zero() -> None:
    _, rows, facts = truth_of(Spec())
    assert rows == ()
    assert facts["frilling.type"].best == "none"
    assert facts["tumor.burden"].best == 0
    assert facts["lesion.count"].best == 0


def test_a_lesion_in_two_lobes_counts_in_both() -> None:
    # on Cantlie's plane, half way between cava and gallbladder bed
    _, rows, facts = truth_of(
        Spec(lesions=(LesionSpec("hypo", (-45.0, -41.0, -60.0), 0, (24.0, 24.0, 24.0)),))
    )
    assert rows[0].lobe == "both"
    assert facts["lesion.count_right"].best == facts["lesion.count_left"].best == 1


def test_a_field_of_view_that_cuts_the_liver_says_so_and_keeps_the_truth() -> None:
    made = make(Spec(detail="plain", noise=0, shape=(96, 88, 30), centre=(0.0, 0.0, -140.0)))
    assert not made.whole
    seen = made.truth.liver.data.sum() * made.volume.grid.voxel_ml
    assert seen < 0.7 * made.facts["liver.volume"].best
    assert made.facts["liver.volume"].best == pytest.approx(
        sum(survey(made.spec.anatomy).segment_ml.values())
    )


def test_there_are_five_shipped_specs() -> None:
    names = {p.stem for p in SHIPPED}
    assert names >= {
        "solitary_type1",
        "bilobar_type2",
        "diffuse_type3",
        "mr_t1_hepatobiliary",
        "healthy",
    }


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_specs_are_what_their_names_say(path: Path) -> None:
    spec, rows, facts = truth_of(load_spec(path))
    burden = facts["tumor.burden"].best
    if path.stem == "solitary_type1":
        assert len(rows) == 1
        assert rows[0].recist_long_mm == pytest.approx(45, abs=1)
        assert max(rows[0].segments, key=rows[0].segments.__getitem__) == 6
    elif path.stem == "bilobar_type2":
        assert 17 <= burden <= 23
        assert facts["frilling.type"].best == "II"
    elif path.stem == "diffuse_type3":
        assert burden > 60
        assert any(len(one.parts) > 1 for one in spec.lesions)
    elif path.stem == "mr_t1_hepatobiliary":
        assert spec.modality == "MR"
        assert rows
    elif path.stem == "healthy":
        assert not rows
    assert replace(spec, name="x").modality in ("CT", "MR")
