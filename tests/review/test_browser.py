"""The whole way in a real browser: look, correct, see numbers change, undo, save."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from burden.read import read_mask
from burden.review.view import View

LONG_MS = 240_000  # a machine under load


@pytest.fixture(scope="module")
def address(given: Any) -> Iterator[str]:
    """`burden review` itself, as a person starts it."""
    code = "from burden.cli import main; main()"
    given_to = ["review", str(given.out), str(given.study), "--no-browser", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *given_to],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], LONG_MS / 1000)
        assert ready, "no address came"
        told = ""
        while not told.endswith("}\n"):
            told += process.stdout.readline()
        assert "url" in json.loads(told), told
        yield json.loads(told)["url"]
        process.terminate()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page on a laptop; fails on script errors and on any request to elsewhere."""
    trouble: list[str] = []
    context = browser.new_context(viewport={"width": 1366, "height": 660})
    made = context.new_page()
    made.set_default_timeout(LONG_MS)
    made.on("pageerror", lambda error: trouble.append(str(error)))
    # A refused edit is answered with status 400, which browsers log; nothing else may be logged.
    made.on("console", lambda m: None if "status of 400" in m.text else trouble.append(m.text))
    made.on("request", lambda r: None if r.url.startswith((address, "data:")) else trouble.append(r.url))
    made.goto(address)
    made.wait_for_selector("body[data-loaded]")
    yield made
    context.close()
    assert not trouble


def settled(page: Any) -> None:
    """Wait until the numbers are those of the last edit."""
    page.wait_for_selector("#busy", state="hidden")


def figure(page: Any, name: str) -> float:
    text = page.locator(f'[data-figure="{name}"] b').inner_text()
    return float(re.sub(r"[^0-9.]", "", text))


def slices(page: Any) -> tuple[int, int]:
    text = page.locator("#pane-main output.tl").inner_text()
    now, count = re.search(r"(\d+) / (\d+)", text).groups()  # type: ignore[union-attr]
    return int(now), int(count)


def test_correct_undo_and_save(page: Any, given: Any, tmp_path: Path) -> None:
    base = given.open()
    masks, case = base.masks, base.case
    settled(page)
    assert figure(page, "tumor.burden") == pytest.approx(case.facts["tumor.burden"].best, abs=0.06)
    assert page.locator("#lesions tbody tr").count() == 3
    verdicts = page.locator(".book").evaluate_all("b => b.map(x => [x.dataset.book, x.dataset.answer])")
    assert dict(verdicts) == {a.book: a.answer.value for a in case.assessments}

    # The list jumps to the slice in which the lesion was measured.
    page.locator('#lesions tr[data-lesion="2"]').click()
    view = View(base.volume.grid)
    row = case.lesions[1]
    middle = tuple((a + b) / 2 for a, b in zip(*row.recist_ends_mm[:2], strict=True))
    assert slices(page)[0] == view.place(middle)[2] + 1  # type: ignore[arg-type]
    page.screenshot(path=tmp_path / "look.png")

    # Nobody corrects without a name.
    page.locator('#lesions tr[data-lesion="1"]').click()
    page.keyboard.press("Delete")
    page.locator("#ask-name").wait_for()
    page.fill("#name", "A. Reader")
    page.keyboard.press("Enter")
    page.wait_for_selector("#gone li")
    page.wait_for_selector('body[data-step="1"]')
    settled(page)

    # What a run with the same masks says; the oracle is arithmetic on the masks.
    kept = masks.tumor_ml - masks.ml(1)
    assert figure(page, "tumor.burden") == pytest.approx(100 * kept / masks.liver_ml, abs=0.06)
    assert figure(page, "Lesions") == 2
    was = page.locator('[data-figure="tumor.burden"] s').inner_text()
    assert float(was.split()[0]) == pytest.approx(case.facts["tumor.burden"].best, abs=0.06)
    flips = page.locator("#flips p").evaluate_all("p => p.map(x => x.dataset.flip)")
    now = dict(page.locator(".book").evaluate_all("b => b.map(x => [x.dataset.book, x.dataset.answer])"))
    differ = {a.book for a in case.assessments if now[a.book] != a.answer.value}
    assert set(flips) == differ
    assert differ, "a verdict flips"
    page.screenshot(path=tmp_path / "deleted.png")

    # Undo, redo, by keys.
    page.keyboard.press("Control+z")
    page.wait_for_selector('body[data-step="0"]')
    assert page.locator("#lesions tbody tr").count() == 3
    assert figure(page, "tumor.burden") == pytest.approx(case.facts["tumor.burden"].best, abs=0.06)
    assert page.locator("#flips").is_hidden()
    page.keyboard.press("Control+y")
    page.wait_for_selector('body[data-step="1"]')

    # Save, into a new folder beside the run's.
    page.locator("#declare-it").click()
    page.wait_for_selector("#undeclare")
    page.keyboard.press("Control+s")
    page.locator("#ask-save").wait_for()
    name = page.input_value("#folder")
    page.locator("#save-yes").click()
    page.wait_for_selector("#save-result.good-text, #save-result.bad-text")
    assert page.locator("#save-result").inner_text().startswith("Saved to")
    page.screenshot(path=tmp_path / "saved.png")
    out = given.out.parent / name
    record = json.loads((out / "case.json").read_text())
    assert record["facts"]["tumor.burden"]["value"] == pytest.approx(100 * kept / masks.liver_ml)
    assert {a["book"]: a["answer"] for a in record["assessments"]} == now
    review = record["manifest"]["review"]
    assert [e["who"] for e in review["edits"]] == ["A. Reader"] * 2
    lesions = read_mask(out / "masks" / "lesions.nii.gz", base.volume.grid)
    assert np.array_equal(lesions.data > 0, masks.labels > 1)
    for file in ("report.html", "report.pdf", "lesions.csv", "dicom/seg.dcm", "dicom/sr.dcm"):
        assert (out / file).is_file(), file
    assert "A. Reader" in (out / "report.html").read_text()
    assert (given.out / "case.json").is_file()
    assert nib.load(given.out / "masks" / "lesions.nii.gz").get_fdata().max() == 3
    page.keyboard.press("Escape")
    page.locator("#undeclare").click()  # leave it as it was found
    page.wait_for_selector("#declare-it")


def test_draw_erase_and_click(page: Any) -> None:
    page.fill("#reader", "B. Reader")
    settled(page)
    count = int(page.locator("#count").inner_text())

    # A new lesion with the brush, in the middle of what is seen: the liver fills the pane.
    page.locator('[data-tool="paint"]').click()
    page.get_by_role("button", name="New lesion").click()
    pane = page.locator("#pane-main canvas").bounding_box()
    cx, cy = pane["x"] + pane["width"] * 0.3, pane["y"] + pane["height"] * 0.62
    page.mouse.move(cx, cy)
    page.mouse.down()
    page.mouse.move(cx + 12, cy + 4, steps=4)
    page.mouse.up()
    page.locator("#lesions tbody tr").nth(count).wait_for()
    new = int(page.locator("#lesions tbody tr.edited").first.get_attribute("data-lesion"))
    settled(page)
    size = page.locator(f'#lesions tr[data-lesion="{new}"] td').nth(1).inner_text()
    assert float(size) > 0.3

    # Erase it altogether; it is gone, and undo brings it back.
    page.locator('[data-tool="erase"]').click()
    page.locator('[data-setting="brush"]').fill("60")
    page.mouse.move(cx, cy)
    page.mouse.down()
    page.mouse.move(cx + 12, cy + 4, steps=2)
    page.mouse.up()
    page.locator(f'#lesions tr[data-lesion="{new}"]').wait_for(state="detached")
    page.keyboard.press("Control+z")
    page.locator(f'#lesions tr[data-lesion="{new}"]').wait_for()
    page.keyboard.press("Control+z")
    page.locator(f'#lesions tr[data-lesion="{new}"]').wait_for(state="detached")

    # Delete a lesion and find it again with one click.
    page.locator('[data-tool="look"]').click()
    page.locator('#lesions tr[data-lesion="2"]').click()
    before = float(page.locator('#lesions tr[data-lesion="2"] td').nth(1).inner_text())
    where = page.locator("#pane-main canvas").bounding_box()
    spot = page.evaluate("window.review.shown(2)")
    page.locator("#delete").click()
    page.locator('#lesions tr[data-lesion="2"]').wait_for(state="detached")
    page.locator('[data-tool="add"]').click()
    page.mouse.click(where["x"] + spot[0], where["y"] + spot[1])
    page.locator("#message", has_text="Enter adds it").wait_for()
    page.keyboard.press("Enter")
    page.locator("#lesions tbody tr.edited").wait_for()
    settled(page)
    found = float(page.locator("#lesions tbody tr.edited td").nth(1).inner_text())
    assert found == pytest.approx(before, rel=0.25)


def test_two_windows_show_the_same_masks(page: Any, address: str) -> None:
    other = page.context.new_page()
    other.set_default_timeout(LONG_MS)
    other.goto(address)
    other.wait_for_selector("body[data-loaded]")
    settled(page)
    settled(other)
    first, second = (
        page.locator("#lesions tbody tr").nth(n).get_attribute("data-lesion") for n in (0, 1)
    )
    one, two = (f'#lesions tr[data-lesion="{n}"]' for n in (first, second))
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.fill("#reader", "A. Reader")
    page.locator(one).click()
    page.locator("#delete").click()
    page.locator(one).wait_for(state="detached")

    # What the other window asks of masks that have changed is refused; it shows them as they are.
    other.fill("#reader", "B. Reader")
    other.locator(two).click()
    other.locator("#delete").click()
    other.locator(one).wait_for(state="detached")
    assert "another window" in other.locator("#message").inner_text().lower()
    assert other.locator(two).count() == 1
    other.locator("#delete").click()
    other.locator(two).wait_for(state="detached")

    # The first one, whose step was overtaken while it was measured, follows of itself or when looked at.
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.locator(two).wait_for(state="detached")
    settled(page)
    assert figure(page, "tumor.burden") == figure(other, "tumor.burden")
    assert len(asked) < 20, "it does not ask again and again"
    other.keyboard.press("Control+z")
    other.keyboard.press("Control+z")
    other.locator(one).wait_for()
    other.close()


def test_enter_ends_the_name_and_the_warning_is_whole(page: Any) -> None:
    page.fill("#reader", "A. Reader")
    page.keyboard.press("Enter")
    page.keyboard.press("n")
    assert page.input_value("#reader") == "A. Reader"
    assert page.locator('[data-tool="add"]').get_attribute("aria-checked") == "true"
    page.keyboard.press("Escape")
    page.locator('[data-tool="look"]').click()
    said = page.locator("#research")
    assert said.evaluate("e => e.scrollWidth <= e.clientWidth"), "the warning is not cut off"


def test_values_of_an_image_of_fractions_have_digits(page: Any) -> None:
    said = page.evaluate(
        """import("./volume.js").then(({ Volume: { prototype: v } }) =>
        [[1, 103], [1, 0.4], [3e-5, 0.30012], [3e-5, 0], [0.1, 1234.5]]
        .map(([step, x]) => v.said.call({ step }, x)))"""
    )
    assert said == ["103", "0", "0.3", "0", "1235"]


@pytest.mark.parametrize("size", [(1366, 660), (1920, 1000), (1100, 620)])
def test_fits_the_window(size: tuple[int, int], page: Any) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]
    outside = page.evaluate(
        """() => [...document.querySelectorAll('header *, .bar *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 90))"""
    )
    assert not outside
    pane = page.locator("#pane-main").bounding_box()
    assert min(pane["width"], pane["height"]) > 340


def test_reachable_without_a_mouse(page: Any) -> None:
    settled(page)
    start = slices(page)[0]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageUp")
    assert slices(page)[0] in (start + 11, slices(page)[1])
    page.keyboard.press(".")
    assert page.locator('#lesions tr[aria-selected="true"]').count() == 1
    page.keyboard.press("c")
    assert page.locator("#pane-main output.tl").inner_text().startswith("Coronal")
    page.keyboard.press("a")
    for name in ("liver", "lesions", "segments"):
        button = page.locator(f"#show-{name}")
        before = button.get_attribute("aria-pressed")
        page.keyboard.press({"liver": "1", "lesions": "2", "segments": "3"}[name])
        assert button.get_attribute("aria-pressed") != before
    page.keyboard.press("?")
    page.locator("#show-help").wait_for()
    page.keyboard.press("Escape")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input')]
        .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
        .map(e => e.outerHTML.slice(0, 90))"""
    )
    assert not unnamed
