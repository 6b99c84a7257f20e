"""The right series of a study, and the reasons."""

from __future__ import annotations

import numpy as np
import pytest

from burden.errors import UsageError
from burden.read import list_series, read_study
from burden.read.sequences import mr_kind
from burden.read.words import drawbacks, phase_of, region_of, sharp


@pytest.fixture
def study(make, tmp_path):
    """A folder as a PACS sends it; returns it with the UID that should win."""
    tall = {"shape": (5, 4, 20), "spacing": (0.8, 0.7, 10.0)}
    coronal = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    kinds = {
        "1.2.1": {"description": "Abdomen nativ", **tall},
        "1.2.2": {"description": "Abd arterial 5.0", **tall},
        "1.2.3": {"description": "Abd portal venous 5.0", **tall},
        "1.2.4": {"description": "portal venous cor MPR", **tall, "axes": coronal},
        "1.2.5": {"description": "portal venous thin slab", "shape": (9, 7, 10)},
        "1.2.6": {"description": "Thorax lung", **tall, "tags": {"ConvolutionKernel": "B70f"}},
        "1.2.7": {"description": "PET", **tall, "modality": "PT"},
        "1.2.8": {
            "description": "portal MIP",
            **tall,
            "tags": {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
        },
        "1.2.9": {
            "description": "Topogram",
            "shape": (9, 7, 1),
            "tags": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        },
    }
    for uid, different in kinds.items():
        make(f"study/{uid}", uid=uid, **different)
    (tmp_path / "study" / "readme.txt").write_text("not an image")
    return tmp_path / "study", "1.2.3"


def test_the_portal_series_of_a_mixed_study_wins(study):
    folder, expected = study
    found = list_series(folder)
    assert [c.uid for c in found if c.chosen] == [expected]
    assert found[0].uid == expected
    assert found[0].phase == "portal"
    assert any("portal" in reason for reason in found[0].reasons)
    by_uid = {c.uid: c for c in found}
    assert "localizer" in by_uid["1.2.9"].refused
    assert "PT" in by_uid["1.2.7"].refused
    assert "sharp kernel" in by_uid["1.2.6"].reasons
    assert by_uid["1.2.4"].plane == "coronal"
    assert "a maximum intensity projection" in by_uid["1.2.8"].reasons
    assert len(found) == 9


def test_series_overrides_the_choice_by_uid_or_row(study):
    folder, _ = study
    assert read_study(folder, series="1.2.1").volume.phase == "non-contrast"
    rows = list_series(folder)
    second = read_study(folder, series="2")
    assert second.volume.origin.series_uid == rows[1].uid
    assert [c.uid for c in second.candidates if c.chosen] == [rows[1].uid]
    with pytest.raises(UsageError, match=r"no series '9\.9'"):
        read_study(folder, series="9.9")


def test_a_refused_favourite_is_passed_over_aloud(make):
    broken = make(
        "study/a", uid="1.2.1", description="abdomen portal", shape=(9, 7, 60), edit=lambda ds, k: k != 9
    )
    make("study/b", uid="1.2.2", description="abdomen nativ", shape=(9, 7, 60))
    study = read_study(broken.parent)
    assert study.volume.origin.series_uid == "1.2.2"
    found = next(f for f in study.findings if f.code == "better-series-refused")
    assert "1.2.1" in found.text
    assert "1 slice(s) missing" in found.text


def test_two_studies_in_one_folder_are_said(make):
    one = make("all/a", shape=(9, 7, 30))
    make("all/b", study="9.8.7")
    assert "several-studies" in [f.code for f in read_study(one.parent).findings]


def test_projection_is_used_only_with_a_warning(make):
    folder = make(description="MIP")
    assert "doubtful-series" in [f.code for f in read_study(folder).findings]


@pytest.mark.parametrize("seed", range(3))
def test_the_choice_does_not_hang_on_file_names(study, seed):
    folder, expected = study
    rng = np.random.default_rng(seed)
    files = [f for f in folder.rglob("*") if f.is_file()]
    flat = folder.parent / "flat"
    flat.mkdir()
    for number, file in zip(rng.permutation(len(files)), files, strict=True):
        file.rename(flat / f"{number:05d}.img")
    assert [c.uid for c in list_series(flat) if c.chosen] == [expected]


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Abd arteriell 3.0", "arterial"),
        ("HAP", "arterial"),
        ("LIVER PORTAL VENOUS", "portal"),
        ("Abdomen venös", "portal"),
        ("abd_pv_5mm", "portal"),
        ("t1_vibe_20min", "hepatobiliary"),
        ("HBP fs", "hepatobiliary"),
        ("late 5 min", "delayed"),
        ("without contrast", "non-contrast"),
        ("Leber nativ", "non-contrast"),
        ("Abd ohne KM", "non-contrast"),
        ("CT ABD W/O", "non-contrast"),
        ("CT ABD W/WO CONTRAST", ""),
        ("Liver with and without contrast", ""),
        ("LIVER W WO PORTAL VENOUS", "portal"),
        ("Two phase portal", "portal"),
        ("arterial w/o MAR", "arterial"),
        ("portal venous without oral contrast", "portal"),
        ("Leber spätarteriell", "arterial"),
        ("heart", ""),
        ("report", ""),
        ("isolated plate", ""),
        ("", ""),
    ],
)
def test_phase_words(text, phase):
    assert phase_of(text, "", None)[0] == phase


@pytest.mark.parametrize(
    ("delay", "phase"), [(30, "arterial"), (70, "portal"), (130, ""), (300, "delayed")]
)
def test_phase_by_the_clock_needs_contrast(delay, phase):
    assert phase_of("abdomen", "Iomeron", delay)[0] == phase
    assert phase_of("abdomen", "", delay)[0] == ""


def test_delay_is_read_from_the_header(make):
    tags = {
        "ContrastBolusAgent": "APPLIED",
        "AcquisitionTime": "101510.5",
        "ContrastBolusStartTime": "101400",
    }
    assert read_study(make(tags=tags)).volume.phase == "portal"


def test_words_that_look_alike():
    assert drawbacks("low dose CT body", ()) == []
    assert drawbacks("Dose report", ()) == ["a report or screenshot"]
    assert region_of("CT Schaedel") == "elsewhere"
    assert region_of("Oberbauch") == "abdomen"
    assert sharp("B70f")
    assert not sharp("B30f")
    assert sharp("BONEPLUS")


def test_mr_sequences_are_told_apart_by_parameters(make):
    kinds = {
        "1.2.1": {"EchoTime": 1.3, "RepetitionTime": 4.0},
        "1.2.2": {"EchoTime": 90.0, "RepetitionTime": 4000.0},
        "1.2.3": {"EchoTime": 60.0, "RepetitionTime": 6000.0, "DiffusionBValue": 800.0},
    }
    for uid, tags in kinds.items():
        folder = make(f"mr/{uid}", uid=uid, modality="MR", description="x", tags=tags)
    found = {c.uid: c for c in list_series(folder.parent)}
    assert "T1-weighted" in found["1.2.1"].reasons
    assert found["1.2.1"].chosen
    assert "T2-weighted" in found["1.2.2"].reasons
    assert "diffusion b = 800" in found["1.2.3"].reasons


@pytest.mark.parametrize(
    ("tags", "codes", "image_type", "kind"),
    [
        ({"EchoTime": 1.3, "RepetitionTime": 4, "FlipAngle": 10}, "GR/SP", (), "T1-weighted"),
        ({"EchoTime": 2.4, "RepetitionTime": 110, "FlipAngle": 70}, "GR/SP", (), "T1-weighted"),
        ({"EchoTime": 10, "RepetitionTime": 500}, "SE", (), "T1-weighted"),
        ({"EchoTime": 92, "RepetitionTime": 1100}, "SE/SK", (), "T2-weighted"),  # single shot
        ({"EchoTime": 80, "RepetitionTime": 4000, "InversionTime": 160}, "SE/IR", (), "T2-weighted"),
        ({"EchoTime": 700, "RepetitionTime": 6000}, "SE", (), "MRCP"),
        ({"EchoTime": 1.7, "RepetitionTime": 3.6, "FlipAngle": 60}, "GR/SS", (), "balanced (T2/T1)"),
        ({"EchoTime": 15, "RepetitionTime": 150, "FlipAngle": 20}, "GR", (), "T2*-weighted"),
        ({"EchoTime": 30, "RepetitionTime": 2500}, "SE", (), "intermediate weighting"),
        ({"EchoTime": 1.3, "RepetitionTime": 4}, "GR/SP", ("DERIVED", "W"), "T1-weighted, water only"),
        ({"EchoTime": 2.5, "RepetitionTime": 4}, "GR", ("OPP_PHASE",), "T1-weighted, opposed phase"),
        ({"EchoTime": 60, "RepetitionTime": 6000}, "EP/SK", ("TRACEW",), "diffusion"),
        ({"EchoTime": 60, "RepetitionTime": 6000}, "EP/SK", ("ADC",), "ADC map"),
        ({}, "", (), "weighting unknown"),
    ],
)
def test_mr_kinds(tags, codes, image_type, kind):
    assert mr_kind(tags, {}, image_type, codes)[0] == kind


def test_fat_only_images_are_a_last_resort():
    times = {"EchoTime": 1.3, "RepetitionTime": 4.0}
    assert mr_kind(times, {}, ("FAT",))[1] < mr_kind(times, {}, ("WATER",))[1] - 20


@pytest.mark.parametrize(
    ("mark", "place", "kind", "value", "shown"),
    [
        ((0x0019, 0x0010, "SIEMENS MR HEADER"), (0x0019, 0x100C), "IS", "600", "600"),
        ((0x0043, 0x0010, "GEMS_PARM_01"), (0x0043, 0x1039), "IS", [1000000050, 8, 0, 0], "50"),
        ((0x2001, 0x0010, "Philips Imaging DD 001"), (0x2001, 0x1003), "FL", 1000.0, "1000"),
    ],
)
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_private_b_values(make, mark, place, kind, value, shown, syntax):
    def edit(ds, k):
        ds.add_new(mark[:2], "LO", mark[2])
        ds.add_new(place, kind, value)

    (found,) = list_series(make(modality="MR", description="x", edit=edit, syntax=syntax))
    assert f"diffusion b = {shown}" in found.reasons


def dynamic(make, agents, seconds, **tags):
    """T1 series of one study, each with its agent and seconds after ten o'clock."""
    for number, (agent, second) in enumerate(zip(agents, seconds, strict=True)):
        clock = f"10{second // 60:02d}{second % 60:02d}.00"
        own = {"EchoTime": 1.3, "RepetitionTime": 4.0, "FlipAngle": 10, "AcquisitionTime": clock}
        own |= {"ContrastBolusAgent": agent} if agent else {}
        folder = make(
            f"mr/{number}",
            uid=f"1.2.{number}",
            modality="MR",
            description="vibe",
            shape=(9, 7, 5),
            tags=own | tags,
        )
    return {c.uid: c.phase for c in list_series(folder.parent)}


def test_dynamic_t1_by_the_clock(make):
    found = dynamic(
        make, ["", "Primovist", "Primovist", "Primovist", "Primovist"], [0, 90, 135, 270, 1300]
    )
    assert list(dict(sorted(found.items())).values()) == [
        "non-contrast",
        "arterial",
        "portal",
        "delayed",
        "hepatobiliary",
    ]


def test_an_extracellular_agent_has_no_hepatobiliary_phase(make):
    assert dynamic(make, ["", "Gadovist", "Gadovist"], [0, 90, 1300])["1.2.2"] == ""


@pytest.mark.parametrize("agents", [["", "", ""], ["Gadovist"] * 3])
def test_the_clock_says_nothing_without_a_before_and_after(make, agents):
    assert set(dynamic(make, agents, [0, 90, 135]).values()) == {""}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"BurnedInAnnotation": "YES"}, "text is burned into the pixels"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "secondary capture"),
        ({"BurnedInAnnotation": "NO"}, ""),
    ],
)
def test_burned_in_text_is_warned_about(make, tags, words):
    found = [f for f in read_study(make(tags=tags)).findings if f.code == "burned-in-annotation"]
    assert bool(found) == bool(words)
    assert all(words in f.text and f.severity == "warning" for f in found)
