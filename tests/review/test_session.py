"""A session: opening a run, its numbers again, edits, undo, who is answerable, and saving."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from burden.case import Case
from burden.errors import InputError, OutputError, UsageError
from burden.facts import Fact, Interval
from burden.findings import Finding
from burden.image import Labels
from burden.pipeline import conclude
from burden.review.actions import action
from burden.review.answers import Answers
from burden.review.base import ENDED_BY_A_READER, Base, open_base
from burden.review.recompute import Concluded, recompute
from burden.review.save import free_name, place_for, reviewed, save
from burden.review.session import Session
from burden.review.state import Mark, State, start_of
from burden.review.view import View
from burden.segment.masks import from_masks
from burden.write import read_case

MARK = Mark("A. Reader", "2026-11-21T10:00:00+00:00")


@pytest.fixture(scope="module")
def base(given: Any) -> Base:
    return given.open()


@pytest.fixture(scope="module")
def doubtful(modelled: Any) -> Base:
    return modelled.open()


@pytest.fixture
def session(base: Base) -> Iterator[Session]:
    made = Session(base)
    worker = threading.Thread(target=made.work, daemon=True)
    worker.start()
    yield made
    made.close()
    worker.join(30)
    assert not worker.is_alive()


def do(session: Session, name: str, **asked: Any) -> State:
    session.do(action(name, asked, session.base.volume, MARK), MARK)
    return session.state


def concluded(session: Session) -> Concluded:
    done = session.concluded(session.step_id, 120.0)
    assert done is not None
    return done


def same_facts(one: Case, other: Case) -> None:
    """The same to within single precision, in which distances are computed."""
    assert set(one.facts) == set(other.facts)
    for key, fact in one.facts.items():
        there = other.facts[key]
        if isinstance(fact.value, Interval):
            assert isinstance(there.value, Interval)
            ends = [there.value.low, there.value.high]
            assert [fact.value.low, fact.value.high] == pytest.approx(ends, rel=1e-5), key
        else:
            assert fact.value == there.value, key
        assert (fact.draws is None) == (there.draws is None), key
        if fact.draws is not None and fact.draws.dtype.kind == "f":
            assert np.allclose(fact.draws, there.draws, rtol=1e-5), key
    assert [(a.book, a.answer, a.p_met) for a in one.assessments] == [
        (a.book, a.answer, a.p_met) for a in other.assessments
    ]


# --- opening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["base", "doubtful"])
def test_uncorrected_masks_give_the_numbers_of_the_run(which: str, request: Any) -> None:
    """Through the cut-out image, without the model, whose doubts are in the record alone."""
    base: Base = request.getfixturevalue(which)
    again = recompute(base, start_of(base.masks)).case
    same_facts(again, base.case)
    for row, was in zip(again.lesions, base.case.lesions, strict=True):
        for field in fields(row):
            new, old = getattr(row, field.name), getattr(was, field.name)
            if isinstance(old, float):
                assert new == pytest.approx(old, rel=1e-5), field.name
            elif field.name not in ("centroid_mm", "recist_ends_mm", "segments"):
                assert new == old, field.name
        assert np.allclose(row.recist_ends_mm, was.recist_ends_mm)
    assert {f.code for f in again.findings} == {f.code for f in base.case.findings}


def test_the_cut_out_changes_no_number(base: Base) -> None:
    state = start_of(base.masks)
    small, whole = recompute(base, state), recompute(base, state, whole=True)
    assert small.case.images is not None
    assert small.case.images.volume.data.size < 0.8 * base.volume.data.size
    same_facts(small.case, whole.case)
    assert [r.recist_slice_index for r in small.case.lesions] == [
        r.recist_slice_index for r in whole.case.lesions
    ]


def open_upwards(fact: Fact) -> bool:
    """Whether there may be more, as where lesions are overlooked."""
    return isinstance(fact.value, Interval) and fact.value.high == 100.0


def test_unedited_masks_of_a_model_give_the_numbers_of_its_run(doubtful: Base) -> None:
    """Its errors come along: those of single lesions and those of the totals."""
    now = recompute(doubtful, start_of(doubtful.masks)).case
    for fact in ("tumor.burden", "lesion.count", "lesion.largest_diameter"):
        before, after = doubtful.case.facts[fact], now.facts[fact]
        assert before.draws is not None
        assert after.draws is not None
        wanted = before.draws.astype(float)
        assert after.draws.astype(float) == pytest.approx(wanted, rel=1e-3, abs=1e-3), fact


def test_the_models_doubts_are_kept(doubtful: Base) -> None:
    chances = [row.p_lesion for row in doubtful.case.lesions]
    assert min(chances) < 0.6 < 0.8 < max(chances), "the stand-in doubts one lesion"
    assert any(f.code == "lesions-overlooked" for f in doubtful.findings)
    assert open_upwards(doubtful.case.facts["tumor.burden"])


def test_opening_says_what_is_wrong(given: Any, modelled: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"images are needed.*burden review OUT STUDY"):
        open_base(given.out, None)
    with pytest.raises(InputError, match="not the images"):
        open_base(given.out, modelled.study)
    with pytest.raises(InputError, match=r"no case\.json"):
        open_base(tmp_path, given.study)
    copy = tmp_path / "copy"
    shutil.copytree(given.out, copy)
    mask = copy / "masks" / "lesions.nii.gz"
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 0, image.affine), mask)
    with pytest.raises(InputError, match=r"lesions\.nii\.gz: this mask was changed"):
        open_base(copy, given.study)
    mask.unlink()
    with pytest.raises(InputError, match=r"lesions\.nii\.gz: this mask is missing"):
        open_base(copy, given.study)
    record = json.loads((given.out / "case.json").read_text())
    record["manifest"]["model"] = {"id": "older"}
    (copy / "case.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="run it again"):
        open_base(copy, given.study)


# --- edits and what they say -------------------------------------------------------------------


def test_a_deleted_lesion_gives_what_a_run_with_that_mask_gives(session: Session) -> None:
    base = session.base
    state = do(session, "delete", lesion=1)
    done = concluded(session).case
    lesions = np.where(base.masks.labels == 1, 0, base.masks.labels).astype(np.uint16)
    liver = Labels(base.masks.liver.astype(np.uint8), base.volume.grid)
    found = from_masks(liver, Labels(lesions, base.volume.grid), None)
    found = replace(found, findings=base.findings)
    run = conclude(base.volume, found, base.patient, base.books, base.case.manifest)
    same_facts(done, run)
    assert done.facts["tumor.burden"].best < 0.75 * base.case.facts["tumor.burden"].best
    assert 1 in state.deleted
    flips = [a.book for a, b in zip(done.assessments, base.case.assessments, strict=True)
             if a.answer != b.answer]  # fmt: skip
    assert flips, "the phantom is made so that its largest lesion matters"


def test_undo_and_redo_bring_masks_and_words_back(session: Session) -> None:
    first = concluded(session)
    start = session.state.masks.code
    do(session, "delete", lesion=2)
    do(session, "merge", lesion=1, other=3)
    merged = session.state
    assert session.undo_text == "Merged lesion 3 into 1"
    for _ in range(2):
        session.undo()
    assert np.array_equal(session.state.masks.code, start)
    assert session.state.deleted == {}
    assert concluded(session).case is first.case, "undo waits for nothing"
    for _ in range(2):
        session.redo()
    assert np.array_equal(session.state.masks.code, merged.masks.code)
    assert session.state.edited == merged.edited
    with pytest.raises(UsageError, match="nothing to do again"):
        session.redo()
    session.undo()
    do(session, "delete", lesion=1)
    assert session.redo_text == "", "a new edit ends what was undone"
    assert [r["what"] for r in session.records] == ["Deleted lesion 2", "Deleted lesion 1"]


def test_who_is_answerable_stands_in_each_row(session: Session) -> None:
    do(session, "merge", lesion=2, other=3)
    rows = {concluded(session).numbers[r.id]: r for r in concluded(session).case.lesions}
    assert rows[2].source == f"edited by {MARK.who} at {MARK.when}"
    assert rows[1].source == "given masks"
    assert "corrected by A. Reader" in concluded(session).case.facts["tumor.burden"].source
    do(session, "complete", complete=True)
    rows = {concluded(session).numbers[r.id]: r for r in concluded(session).case.lesions}
    assert rows[1].source == f"given masks, kept by {MARK.who} at {MARK.when}"


def test_records_tell_volumes_before_and_after(session: Session) -> None:
    masks = session.state.masks
    do(session, "delete", lesion=1)
    (record,) = session.records
    assert record["who"] == "A. Reader"
    assert record["lesions"] == {"1": {"before_ml": round(masks.ml(1), 4), "after_ml": 0.0}}
    assert record["tumor_ml"]["after"] == pytest.approx(masks.tumor_ml - masks.ml(1), abs=1e-3)
    assert record["liver_ml"]["before"] == record["liver_ml"]["after"]


def test_restored_lesion_is_as_it_was(session: Session) -> None:
    start = session.state.masks.code
    do(session, "delete", lesion=1)
    do(session, "restore", lesion=1)
    assert np.array_equal(session.state.masks.code, start)
    assert 1 not in session.state.edited
    assert session.state.deleted == {}
    with pytest.raises(UsageError, match="was not deleted"):
        do(session, "restore", lesion=1)


def test_numbers_are_never_used_twice(session: Session) -> None:
    top = max(session.state.masks.numbers)
    spot = [float(x) for x in np.argwhere(session.state.masks.labels == 1).mean(0)]
    do(session, "delete", lesion=1)
    do(session, "paint", stroke=[spot], radius=8.0)
    do(session, "delete", lesion=top + 1)
    state = do(session, "paint", stroke=[spot], radius=8.0)
    assert max(state.masks.numbers) == top + 2


@pytest.mark.parametrize(
    ("name", "asked", "why"),
    [
        ("explode", {}, "no such action"),
        ("delete", {}, "must be a number"),
        ("delete", {"lesion": 99}, "no lesion 99"),
        ("delete", {"lesion": 1.5}, "whole number"),
        ("delete", {"lesion": True}, "must be a number"),
        ("paint", {"stroke": [], "radius": 5}, "list of 1"),
        ("paint", {"stroke": [[1, 2]], "radius": 5}, "three numbers"),
        ("paint", {"stroke": [[1, 2, float("nan")]], "radius": 5}, "must be a number"),
        ("paint", {"stroke": [[1, 2, 3]], "radius": 1e9}, "from 0.1 to 100"),
        ("paint", {"stroke": [[1, 2, 3]], "radius": 5, "flat": 7}, "from 0 to 2"),
        ("split_seeds", {"lesion": 1, "seeds": [[1, 1, 1]] * 30}, "at most 20"),
        ("grow", {"at": [1, 1, 1], "edge": 0.5, "size": 0}, "from 2 to 300"),
        ("restore", {"lesion": 1}, "was not deleted"),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(
    name: str, asked: dict[str, Any], why: str, base: Base
) -> None:
    session = Session(base)
    with pytest.raises(UsageError, match=why):
        do(session, name, **asked)
    assert session.step_id == 0
    assert session.records == ()


def test_masks_that_cannot_be_measured_do_not_end_the_worker(session: Session) -> None:
    """No liver is no case; the page hears why, and undo brings all back."""
    concluded(session)
    empty = session.state.masks.code * 0

    def wipe(state: State) -> tuple[str, State, Any]:
        from burden.review.masks import Masks, Patch

        box = tuple(slice(0, n) for n in state.masks.code.shape)  # type: ignore[assignment]
        patch = Patch.between(state.masks, box, empty)
        return "Wiped", replace(state, masks=Masks(empty, state.masks.grid)), patch

    session.do(wipe, MARK)
    with pytest.raises(UsageError, match="no liver"):
        session.concluded(session.step_id, 120.0)
    session.undo()
    assert concluded(session).case.facts["liver.volume"].best is not None


# --- the declaration ----------------------------------------------------------------------------


def test_lower_bounds_end_when_a_reader_says_that_all_is_marked(doubtful: Base) -> None:
    session = Session(doubtful)
    corrected = do(session, "delete", lesion=3)
    still = recompute(doubtful, corrected).case
    assert open_upwards(still.facts["tumor.burden"])
    assert any(f.code == "lesions-overlooked" for f in still.findings)
    declared = recompute(doubtful, do(session, "complete", complete=True)).case
    assert not {f.code for f in declared.findings} & set(ENDED_BY_A_READER)
    masks = session.state.masks
    assert declared.facts["tumor.burden"].best == pytest.approx(100 * masks.tumor_ml / masks.liver_ml)
    assert all(row.p_lesion == 1.0 for row in declared.lesions)
    back = recompute(doubtful, do(session, "complete", complete=False)).case
    assert open_upwards(back.facts["tumor.burden"])


def test_what_a_reader_drew_is_a_lesion_and_the_rest_keeps_its_doubt(doubtful: Base) -> None:
    session = Session(doubtful)
    spot = [float(x) for x in np.argwhere(session.state.masks.labels == 3).mean(0)]
    state = do(session, "paint", lesion=3, stroke=[spot, [spot[0] + 3, spot[1], spot[2]]], radius=16.0)
    done = recompute(doubtful, state)
    rows = {done.numbers[r.id]: r for r in done.case.lesions}
    assert rows[3].p_lesion == 1.0
    was = {r.id: r.p_lesion for r in doubtful.case.lesions}
    assert was[3] < 0.7
    assert rows[1].p_lesion == pytest.approx(was[1], abs=1e-5)


def test_the_list_of_ended_findings_is_up_to_date() -> None:
    """Whoever adds a finding to a back end decides here whether a reader ends it."""
    package = Path(__file__).resolve().parents[2] / "burden" / "segment"
    text = "".join(p.read_text() for p in package.rglob("*.py"))
    for code in ("lesions-overlooked", "mr-model-unsound", "unlikely-lesions-left-out"):
        assert f'"{code}"' in text, "a code that no back end uses any more"
    assert Finding("x", "info", "x").invalidates == ()


# --- saving -------------------------------------------------------------------------------------


def test_saved_case_is_whole_and_says_how_it_came_about(session: Session, tmp_path: Path) -> None:
    base = session.base
    before = {p: p.read_bytes() for p in base.folder.rglob("*") if p.is_file()}
    do(session, "delete", lesion=1)
    do(session, "complete", complete=True)
    out = tmp_path / "saved"
    with pytest.MonkeyPatch.context() as patch:
        import burden.write

        write = burden.write.write_case
        patch.setattr(burden.write, "write_case", lambda c, o: write(c, o, writers=["table", "mask"]))
        save(base, session.state, session.records, "A. Reader", out)
    saved = read_case(out)
    review = saved.manifest.review
    assert review["base"]["case_sha256"] == hashlib.sha256(before[base.folder / "case.json"]).hexdigest()
    assert [e["what"] for e in review["edits"]] == [r["what"] for r in session.records]
    assert review["complete"] == {"who": MARK.who, "when": MARK.when}
    assert review["lesions"] == {"1": 2, "2": 3}, "rows are numbered anew, largest first"
    assert any(f.code == "reviewed" and "A. Reader" in f.text for f in saved.findings)
    mask = np.asarray(nib.load(out / "masks" / "lesions.nii.gz").dataobj)
    turned = View(base.volume.grid)
    assert turned.grid.voxel_ml * np.count_nonzero(mask) == pytest.approx(session.state.masks.tumor_ml)
    assert {p: p.read_bytes() for p in base.folder.rglob("*") if p.is_file()} == before
    same_facts(saved, concluded(session).case)
    with pytest.raises(OutputError, match="exists"):
        save(base, session.state, session.records, "A. Reader", out)


def test_a_saved_case_can_be_reviewed_again(doubtful: Base, modelled: Any, tmp_path: Path) -> None:
    session = Session(doubtful)
    do(session, "delete", lesion=3)
    do(session, "complete", complete=True)
    out = tmp_path / "saved"
    with pytest.MonkeyPatch.context() as patch:
        import burden.write

        write = burden.write.write_case
        patch.setattr(burden.write, "write_case", lambda c, o: write(c, o, writers=["table", "mask"]))
        save(doubtful, session.state, session.records, "A. Reader", out)
    again = open_base(out, modelled.study)
    assert Answers(Session(again)).case({})["declared_by"] == MARK.who
    case = recompute(again, start_of(again.masks)).case
    same_facts(case, again.case)
    assert not open_upwards(case.facts["tumor.burden"]), "the declaration holds"
    assert [r.source for r in case.lesions] == [r.source for r in again.case.lesions]

    # Whoever goes on after a declaration does not take it back.
    more = Session(again)
    do(more, "delete", lesion=1)
    said = [
        f.text for f in reviewed(again, more.state, more.records, "B").findings if "orrect" in f.text
    ]
    assert said[0].endswith("lesions marked (1 correction)."), (
        "saying that all is marked corrects nothing"
    )
    assert said[1].endswith("(1 correction) after A. Reader had declared them complete.")


def test_what_the_run_counted_is_not_said_of_corrected_lesions(given: Any, tmp_path: Path) -> None:
    """Touching lesions that the run told apart, and an unfinished correction that is now finished."""
    out = tmp_path / "out"
    shutil.copytree(given.out, out)
    record = json.loads((out / "case.json").read_text())
    for code in ("touching-lesions-split", "review-incomplete"):
        record["findings"].append({"code": code, "severity": "info", "text": code, "invalidates": []})
    (out / "case.json").write_text(json.dumps(record))
    session = Session(open_base(out, given.study))
    codes = {f.code for f in recompute(session.base, session.state).case.findings}
    assert "touching-lesions-split" not in codes
    assert "review-incomplete" in codes
    declared = recompute(session.base, do(session, "complete", complete=True)).case
    assert "review-incomplete" not in {f.code for f in declared.findings}


def test_a_deidentified_run_is_refused_for_what_it_is(given: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(given.out, out)
    record = json.loads((out / "case.json").read_text())
    record["manifest"]["settings"]["deidentified"] = True
    (out / "case.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"de-identified.*without --deidentify"):
        open_base(out, given.study)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 99, "a\\b", "nul\0", "x."])
def test_only_plain_names_beside_the_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name of a folder"):
        place_for(tmp_path / "out", name)


def test_the_suggested_name_is_free(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert free_name(tmp_path / "out") == "out-reviewed"
    (tmp_path / "out-reviewed").mkdir()
    assert free_name(tmp_path / "out") == "out-reviewed-2"
    assert place_for(tmp_path / "out", "out-reviewed-2") == tmp_path.resolve() / "out-reviewed-2"


def test_a_folder_that_was_asked_for_takes_one_save_and_the_next_goes_beside_it(tmp_path: Path) -> None:
    run, wanted = tmp_path / "out", tmp_path / "elsewhere" / "Prüfung"
    assert free_name(run, wanted) == "Prüfung"
    assert place_for(run, "Prüfung", wanted) == wanted.resolve()
    wanted.mkdir(parents=True)
    assert free_name(run, wanted) == "Prüfung", "an empty folder holds nothing to lose"
    (wanted / "case.json").touch()
    assert free_name(run, wanted) == "Prüfung-2"
    assert place_for(run, "second", wanted) == wanted.resolve().with_name("second")
    with pytest.raises(OutputError, match=r"exists\. Choose another name"):
        place_for(run, "Prüfung", wanted)


def test_the_page_counts_voxels_like_the_patient_lies(base: Base, doubtful: Base) -> None:
    for one in (base, doubtful):
        view = View(one.volume.grid)
        assert view.grid.codes == "LPS"
        spot = np.argwhere(one.masks.labels == 2)[5]
        box = tuple(slice(int(i), int(i) + 1) for i in spot)
        place = [s.start for s in view.box(box)]  # type: ignore[arg-type]
        assert view.asked({"at": place})["at"] == [float(i) for i in spot]
        assert np.allclose(view.grid.world(place), one.volume.grid.world(spot))
        assert view.turned(one.masks.labels)[tuple(place)] == 2
        axis = view.asked({"flat": 2})["flat"]
        assert axis == one.volume.grid.axis_of(2)
