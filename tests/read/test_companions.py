"""Other phases of a study beside the one measured in: which, where they lie, and why not."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from burden.cli import cli
from burden.errors import GeometryError, UsageError
from burden.read import list_series, read_study

PORTAL, ARTERIAL = "1.2.1", "1.2.2"


@pytest.fixture
def study(make, phantom):
    """Portal and arterial series on different grids of one frame; keywords change the arterial one."""

    def write(**different):
        folder = make("study/p", uid=PORTAL, description="portal venous", shape=(9, 7, 12))
        arterial = {
            "description": "arterial",
            "spacing": (1.0, 0.9, 5.0),
            "values": phantom((8, 8, 6), seed=5),
        }
        make("study/a", uid=ARTERIAL, **arterial | different)
        return folder.parent

    return write


def told(study, code):
    return [f for f in study.findings if f.code == code]


def test_the_arterial_series_comes_along_on_its_own_grid(study, phantom):
    read = read_study(study())
    assert read.volume.origin.series_uid == PORTAL
    (beside,) = read.companions
    assert (beside.phase, beside.origin.series_uid) == ("arterial", ARTERIAL)
    assert beside.grid.spacing == pytest.approx((1.0, 0.9, 5.0))
    assert np.array_equal(beside.data, phantom((8, 8, 6), seed=5))
    (said,) = told(read, "companion-used")
    assert ARTERIAL in said.text
    assert said.severity == "info"
    assert [(c.uid, c.companion) for c in read.candidates] == [(PORTAL, ""), (ARTERIAL, "arterial")]


def test_the_table_shows_it(study):
    folder = study()
    assert {c.uid: c.companion for c in list_series(folder)} == {PORTAL: "", ARTERIAL: "arterial"}
    shown = CliRunner().invoke(cli, ["series", str(folder)], catch_exceptions=False).stdout
    rows = [line for line in shown.splitlines() if "CT" in line]
    assert [row.split()[0] for row in rows] == ["yes", "arterial"]


def test_another_frame_is_named_and_not_used(study):
    read = read_study(study(frame="9.9"))
    assert read.companions == ()
    (said,) = told(read, "companion-not-used")
    assert ARTERIAL in said.text
    assert "another frame of reference" in said.text
    asked = read_study(study(frame="9.9"), with_phase=[f"arterial={ARTERIAL}"])
    assert asked.companions == ()
    assert [f.severity for f in told(asked, "companion-not-used")] == ["warning"]


def test_no_frame_at_all_is_another_frame(make):
    def edit(ds, k):
        del ds.FrameOfReferenceUID

    folder = make("study/p", uid=PORTAL, description="portal", edit=edit)
    make("study/a", uid=ARTERIAL, description="arterial", edit=edit)
    read = read_study(folder.parent)
    assert read.companions == ()
    assert told(read, "companion-not-used")


@pytest.mark.parametrize(
    ("different", "words"),
    [
        ({"origin": (-10.0, 20.0, -11.0)}, "covers only"),
        ({"edit": lambda ds, k: k != 2}, r"1 slice(s) missing"),
    ],
)
def test_why_not(study, different, words):
    read = read_study(study(**different))
    assert read.companions == ()
    assert words in told(read, "companion-not-used")[0].text


@pytest.mark.parametrize(
    "different",
    [
        {"description": "arterial MIP"},
        {"description": "arterial subtraction"},
        {"study": "7.7"},
        {"modality": "MR"},
        {"description": "delayed"},
    ],
)
def test_what_is_no_arterial_series_of_the_study_is_not_even_mentioned(study, different):
    read = read_study(study(**different))
    assert read.companions == ()
    assert not [f for f in read.findings if f.code.startswith("companion")]


def test_of_several_arterial_series_the_best_that_fits_is_taken(study, make):
    folder = study(frame="9.9")
    make("study/b", uid="1.2.3", description="arterial thick", shape=(9, 7, 6), spacing=(0.8, 0.7, 5.0))
    read = read_study(folder)
    assert [c.origin.series_uid for c in read.companions] == ["1.2.3"]
    assert not told(read, "companion-not-used")


def test_none_where_the_arterial_series_itself_is_measured_in(study):
    read = read_study(study(), series=ARTERIAL)
    assert read.volume.phase == "arterial"
    assert read.companions == ()


def test_the_user_decides(study, make):
    folder = study()
    make("study/d", uid="1.2.4", description="x", shape=(9, 7, 12))
    assert read_study(folder, with_phase=["none"]).companions == ()
    rows = [c.uid for c in list_series(folder)]
    row = 1 + rows.index("1.2.4")
    read = read_study(folder, with_phase=[f"delayed={row}", f"arterial={ARTERIAL}"])
    assert [(c.phase, c.origin.series_uid) for c in read.companions] == [
        ("delayed", "1.2.4"),
        ("arterial", ARTERIAL),
    ]
    assert len(told(read, "companion-used")) == 2


@pytest.mark.parametrize(
    "wanted",
    [["arterial"], ["early=1.2.2"], ["arterial=9.9"], ["arterial=1.2.1"], ["none", "none"], [""]],
)
def test_nonsense_is_a_usage_error(study, wanted):
    with pytest.raises(UsageError) as error:
        read_study(study(), with_phase=wanted)
    assert error.value.exit_code == 2
    assert error.value.hint or "measured in" in str(error.value)


def test_a_series_that_was_named_must_be_readable(study):
    with pytest.raises(GeometryError, match="1 slice"):
        read_study(study(edit=lambda ds, k: k != 2), with_phase=["arterial=1.2.2"])


def test_what_was_done_to_a_companion_is_said_and_takes_nothing_back(study):
    folder = study()
    file = next((folder / "a").iterdir())
    (folder / "a" / "copy").write_bytes(file.read_bytes())
    (said,) = told(read_study(folder), "duplicate-slices-dropped")
    assert said.text.startswith("Series of the arterial phase: 1 slice(s)")
    assert said.invalidates == ()


def test_an_mr_arterial_phase_by_the_clock_comes_along(make):
    for uid, agent, clock in (
        ("1", "", "100000"),
        ("2", "Gadovist", "100130"),
        ("3", "Gadovist", "100215"),
    ):
        tags = {"EchoTime": 1.3, "RepetitionTime": 4.0, "FlipAngle": 10, "AcquisitionTime": clock}
        tags |= {"ContrastBolusAgent": agent} if agent else {}
        folder = make(f"mr/{uid}", uid=f"1.2.{uid}", modality="MR", description="vibe", tags=tags)
    read = read_study(folder.parent)
    assert read.volume.phase == "portal"
    assert [(c.origin.series_uid, c.phase) for c in read.companions] == [("1.2.2", "arterial")]


class ReachedError(Exception):
    """Carries what measure was given."""


def test_the_pipeline_hands_companions_to_measure(study, tmp_path, monkeypatch):
    from burden import measure
    from burden.pipeline import Job, run

    def look(*args, **kwargs):
        raise ReachedError(kwargs)

    folder = study()
    grid = read_study(folder).volume.grid
    mask = tmp_path / "mask.nii.gz"
    nib.Nifti1Image(np.ones(grid.shape, np.uint8), grid.ras).to_filename(mask)
    monkeypatch.setattr(measure, "measure", look)
    job = {"liver": str(mask), "lesions": str(mask)}
    for wanted, expected in ((), ["arterial"]), (("none",), []):
        with pytest.raises(ReachedError) as reached:
            run(Job(folder, tmp_path / "out", with_phase=wanted, **job))
        assert [c.phase for c in reached.value.args[0]["companions"]] == expected


def test_the_manifest_names_a_companion_so_that_it_is_found_again(study, make, tmp_path, monkeypatch):
    """The second volume of a series by its name in `burden series`, not by the UID of both."""
    from burden import pipeline

    def look(*args, **kwargs):
        raise ReachedError(args[4])

    folder = study(tags={"TemporalPositionIdentifier": 1})
    later = {"description": "arterial", "spacing": (1.0, 0.9, 5.0), "shape": (8, 8, 6)}
    make("study/b", uid=ARTERIAL, tags={"TemporalPositionIdentifier": 2}, **later)
    grid = read_study(folder).volume.grid
    mask = tmp_path / "mask.nii.gz"
    nib.Nifti1Image(np.ones(grid.shape, np.uint8), grid.ras).to_filename(mask)
    monkeypatch.setattr(pipeline, "conclude", look)
    job = {"liver": str(mask), "lesions": str(mask), "with_phase": (f"arterial={ARTERIAL}#2",)}
    with pytest.raises(ReachedError) as reached:
        pipeline.run(pipeline.Job(folder, tmp_path / "out", series=PORTAL, **job))
    (said,) = reached.value.args[0].input["companions"]
    assert (said["series_uid"], said["phase"]) == (f"{ARTERIAL}#2", "arterial")
    again = read_study(folder, series=PORTAL, with_phase=[f"{said['phase']}={said['series_uid']}"])
    assert again.companions[0].origin.sha256 == said["sha256"]


def test_the_command_line_passes_it_on(study, tmp_path):
    arguments = ["run", str(study()), "--out", str(tmp_path / "out"), "--with-phase", "early=3"]
    done = CliRunner().invoke(cli, arguments)
    assert isinstance(done.exception, UsageError)
    assert "'early=3' is no choice of a phase" in str(done.exception)
