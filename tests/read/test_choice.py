"""The right one of a dozen confusable series, on random draws, without writing any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from burden.read.headers import File, Slice
from burden.read.series import groups_of
from burden.read.sources import Entry

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


def series(uid, description, *, count=60, step=4.0, axes=AXIAL, modality="CT", left_out=(), **different):
    """Headers of one series; keywords override fields of File or Slice."""
    fields = {
        "entry": Entry(Path("nowhere"), "nowhere"),
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "syntax": "1.2.840.10008.1.2.1",
        "study_uid": "1.2",
        "series_uid": uid,
        "frame_uid": "1.3",
        "modality": modality,
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "description": description,
        "body_part": "",
        "kernel": "B30f",
        "contrast": "",
        "delay_s": None,
        "rows": 512,
        "columns": 512,
        "frames": 1,
        "samples": 1,
        "bits": (16, 16, 15),
        "signed": True,
        "padding": None,
        "offset": 1000,
        "big_endian": False,
        "sequence": {},
        "codes": "",
        "burned_in": False,
        "patient": {},
    }
    fields.update({k: v for k, v in different.items() if k in fields})
    normal = np.cross(*axes)
    return [
        Slice(
            file=File(sop_uid=f"{uid}.{k}", **fields),
            frame=0,
            position=tuple((normal * step * k).tolist()),
            axes=axes,
            spacing=(0.8, 0.8),
            thickness=different.get("thickness", step),
            slope=1.0,
            intercept=0.0,
            stack=different.get("stack", ()),
            image_type=fields["image_type"],
        )
        for k in range(count)
        if k not in left_out
    ]


def ct_study(rng):
    """A dozen CT series of one liver study; "1.9" is the one a radiologist would measure in."""
    step = float(rng.choice([1.25, 2.5, 3.0, 5.0]))
    count = int(260 / step)
    same = {"count": count, "step": step}
    name = rng.choice(
        ["Abd portal venous", "PORTALVENOUS 3.0", "Leber pv", "abdomen venös", "Liver 70s"]
    )
    given = str(rng.choice(["", "Iomeron 350"]))
    return [
        series("1.9", str(name), contrast=given, **same),
        series("1.1", str(rng.choice(["nativ", "ABD without contrast"])), **same),
        series("1.2", str(rng.choice(["arterial", "HAP 2.0", "Abd art."])), contrast=given, **same),
        series("1.3", str(rng.choice(["delayed", "late 5 min", "Spät"])), contrast=given, **same),
        series("1.4", f"{name} cor", axes=CORONAL, contrast=given, **same),
        series("1.5", f"{name} MIP", contrast=given, **same),
        series("1.6", f"{name} lung", kernel="B70f", contrast=given, **same),
        series("1.7", "Topogram", count=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        series("1.8", "PreMonitoring", count=1),
        series("1.10", f"{name} slab", count=12, step=step),
        series("1.11", "CT head", count=50, step=3.0),
        series("1.12", str(name), left_out=(7,), contrast=given, **same),
        series("1.13", "PET AC", modality="PT", **same),
    ]


def mr_study(rng):
    """MR series told apart by their parameters more than by their names."""
    step = float(rng.choice([3.0, 4.0]))
    same = {"modality": "MR", "count": int(240 / step), "step": step}
    t1, t2 = {"EchoTime": 1.4, "RepetitionTime": 4.1}, {"EchoTime": 92.0, "RepetitionTime": 3000.0}
    diffusion = {"EchoTime": 60.0, "RepetitionTime": 6000.0}
    best = str(rng.choice(["vibe fs portal", "t1 dixon 20min", "eThrive venous", "LAVA hbp"]))
    return [
        series("1.9", best, sequence=t1, **same),
        series("1.1", "vibe pre contrast", sequence=t1, **same),
        series("1.2", "vibe arterial", sequence=t1, **same),
        series("1.3", "t2 haste", sequence=t2, **same),
        series("1.4", "ep2d", sequence=diffusion, stack=(("DiffusionBValue", "800"),), **same),
        series("1.5", "ADC", sequence=diffusion, image_type=("DERIVED", "PRIMARY", "ADC"), **same),
        series("1.6", f"{best} SUB", sequence=t1, **same),
        series("1.7", f"{best} cor", sequence=t1, axes=CORONAL, **same),
        series("1.8", "localizer", count=9, modality="MR"),
    ]


@pytest.mark.parametrize("study", [ct_study, mr_study])
@pytest.mark.parametrize("seed", range(25))
def test_the_series_a_radiologist_would_take(study, seed):
    rng = np.random.default_rng(seed)
    parts = study(rng)
    rng.shuffle(parts)
    slices = [one for part in parts for one in part]
    rng.shuffle(slices)
    groups = groups_of(slices)
    assert groups[0].uid == "1.9"
    assert groups[0].refused is None
    by_uid = {g.uid: g for g in groups}
    assert len(by_uid) == len(parts)
    if study is ct_study:
        assert "1 slice(s) missing" in str(by_uid["1.12"].refused)
        assert "sharp kernel" in by_uid["1.6"].reasons
        assert "PT, not CT or MR" in str(by_uid["1.13"].refused)
    else:
        assert "diffusion b = 800" in by_uid["1.4"].reasons
        assert "ADC map" in by_uid["1.5"].reasons
        assert "T2-weighted" in by_uid["1.3"].reasons
        assert "a subtraction" in by_uid["1.6"].reasons
