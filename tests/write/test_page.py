"""report.html: what it says, that it holds nothing but itself, and how it stands in a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from burden.answer import Answer
from burden.case import RESEARCH_USE, Assessment, Case, Citation, CriterionResult
from burden.facts import Fact, Facts, Interval
from burden.findings import Finding
from burden.write.page import render
from burden.write.verdicts import verdict

CHROMIUM = Path("/usr/bin/chromium")
KINDS = ["solitary", "bilobar", "healthy", "truncated", "diffuse"]


class Words(HTMLParser):
    """Visible words, headings and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._skip = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._skip = tag == "style"
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)

    @property
    def text(self) -> str:
        joined = "".join(self.words).replace("\u00a0", " ").replace("\u2060", "")
        return re.sub(r"\s+", " ", joined)


@pytest.fixture(scope="module")
def page_of(case_of: Callable[[str], Case]) -> Callable[[str], str]:
    made: dict[str, str] = {}

    def get(kind: str) -> str:
        if kind not in made:
            made[kind] = render(case_of(kind))
        return made[kind]

    return get


# --- what it says -----------------------------------------------------------------------------


def test_order_of_the_page(page_of: Callable[[str], str]) -> None:
    text = Words(page_of("truncated")).text
    order = ["case-truncated", RESEARCH_USE, "Read first", "The top of the liver lies outside",
             "guessed", "Tumor burden", "not known", "at least 1,240 mL", "Pictures", "From the front",
             "Couinaud segment", "Rule books", "Lesions", "Definitions used", "Manifest"]  # fmt: skip
    places = []
    for words in order:
        places.append(text.find(words, places[-1] if places else 0))
        assert places[-1] >= 0, words
    assert text.count(RESEARCH_USE) == 1


def test_unknown_is_in_words(page_of: Callable[[str], str]) -> None:
    text = Words(page_of("truncated")).text
    assert not re.search(r"\b(None|nan|inf|0\.0 %)\b|\[\]|Answer\.", text)
    assert "liver cut by the field of view" in text
    assert re.search(r"Tumor burden share of the liver replaced\s*not known", text)


def test_a_healthy_liver_says_so(page_of: Callable[[str], str]) -> None:
    text = Words(page_of("healthy")).text
    assert "No lesion was found" in text
    assert re.search(r"Largest lesion\s*none", text)


def test_many_lesions_are_summed_up(page_of: Callable[[str], str]) -> None:
    text = Words(page_of("diffuse")).text
    assert re.search(r"40 lesions more, together [\d.]+ mL, the longest of them [\d.]+ mm", text)


def test_everything_typed_by_people_is_escaped(case_of: Callable[[str], Case]) -> None:
    evil = '<script>alert("1")</script><img src="http://x.example/a.png">'
    case = case_of("healthy")
    assessment = replace(case.assessments[0], title=evil, note=evil, what_if=(evil,), conflicts=(evil,))
    fact = Fact("liver.volume", Interval(1.0, float("inf")), "mL", evil, note=evil)
    manifest = replace(case.manifest, settings={evil: evil}, created=evil)
    html = render(
        replace(case, case_id=evil, findings=(Finding(evil, "error", evil, (evil,)),), manifest=manifest,
                assessments=(assessment,), facts=case.facts | Facts([fact]))
    )  # fmt: skip
    tags = Words(html).tags
    assert not [t for t, _ in tags if t == "script"]
    assert all((attrs.get("src") or "data:").startswith("data:") for _, attrs in tags)


@pytest.mark.parametrize("kind", KINDS)
def test_accessible(kind: str, page_of: Callable[[str], str]) -> None:
    seen = Words(page_of(kind))
    assert ("html", {"lang": "en"}) in seen.tags
    assert seen.headings[0] == 1
    assert seen.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(seen.headings, seen.headings[1:], strict=False))
    for tag, attrs in seen.tags:
        if tag == "img":
            assert len(attrs["alt"] or "") > 20
        if tag == "th":
            assert attrs.get("scope") in ("col", "row", "rowgroup")


def test_verdict_names_what_decided(case_of: Callable[[str], Case]) -> None:
    facts = case_of("bilobar").facts
    unknown, no, yes = (verdict(one, facts) for one in case_of("bilobar").assessments)
    assert (unknown.answer, no.answer, yes.answer) == ("unknown", "no", "yes")
    assert "remnant" in no.decided
    assert "carcinoma" not in no.decided, "a contraindication that is absent decides nothing"
    assert "stable" in unknown.decided
    assert unknown.missing == (
        "months of stable disease or response",
        "primary drained by the portal system",
    )
    assert yes.decided == "2 of 2 met"
    outside = next(line for line in no.lines if "remnant" in line.text)
    assert (outside.word, outside.margin, outside.p.replace("\u00a0", " ")) == (
        "not met", "2.6 points outside", "12 %")  # fmt: skip


def test_only_the_parts_that_decided_are_shown() -> None:
    def row(name: str, answer: str, **more: Any) -> CriterionResult:
        return CriterionResult(name, name, Answer(answer), (Citation("S1", "T2"),), (), **more)

    tree = (
        row("a", "yes"),
        row("a.met", "yes"),
        row("a.open", "unknown"),
        row("a.open.part", "unknown"),
        row("a.limit", "no", margin=-1.0, unit="mm"),
        row("b", "no", kind="advisory"),
        row("b.part", "no"),
        row("c", "yes", kind="contraindication"),
    )
    told = verdict(Assessment("x", "X", Answer.NO, tree), Facts())
    assert [(line.text, line.depth) for line in told.lines] == [
        ("a", 0), ("a.met", 1), ("a.limit", 1), ("b", 0), ("c", 0)]  # fmt: skip
    assert told.decided == "c (present)"
    assert [line.answer for line in told.lines][-2:] == ["none", "no"]


def test_many_books_are_grouped_and_folded(case_of: Callable[[str], Case]) -> None:
    case = case_of("bilobar")
    books = tuple(
        replace(case.assessments[n % 3], book=f"b{n}", title=f"Book {n} (yes = it applies)",
                modality=("resection", "ablation")[n % 2], missing=tuple(f"fact.{k}" for k in range(n)))
        for n in range(9)
    )  # fmt: skip
    page = Words(render(replace(case, assessments=books)))
    assert [t for t, _ in page.tags].count("details") == 9 + 1
    assert page.text.index("Resection Book 0") < page.text.index("Ablation Book 1")
    assert "yes = it applies" in page.text
    assert "fact.2; and 5 more" in page.text
    assert "fact.7" in page.text, "the whole list stands with the book"


# --- how it stands in a browser -----------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        assert os.environ.get("CI") != "true", f"CI needs {CHROMIUM}"
        pytest.skip(f"NOT TESTED in a browser: there is no {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, page_of: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a report at a width and scheme; fails on console errors and on any request."""
    contexts, trouble = [], []

    def get(kind: str, width: int, scheme: str = "light", font: str = "") -> Any:
        path = tmp_path / f"{kind}.html"
        style = f"<style>body {{ font-family: {font} !important }}</style></head>"
        html = page_of(kind)
        path.write_text(html.replace("</head>", style) if font else html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:")) else trouble.append(r.url),
        )
        page.goto(path.as_uri())
        return page

    yield get
    for context in contexts:
        context.close()
    assert not trouble


@pytest.mark.parametrize(("width", "font"), [(390, "DejaVu Sans"), (820, ""), (1280, "DejaVu Sans")])
@pytest.mark.parametrize("kind", ["bilobar", "truncated", "diffuse"])
def test_no_sideways_scrolling(kind: str, width: int, font: str, opened: Callable[..., Any]) -> None:
    page = opened(kind, width, font=font)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    spilled = page.evaluate(
        """w => [...document.querySelectorAll('main *')]
        .filter(e => !e.closest('.hidden, svg, .gauge'))
        .filter(e => e.getBoundingClientRect().right > w + 1).map(e => e.outerHTML.slice(0, 90))""",
        width,
    )
    assert not spilled
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 300)")


CONTRAST = """() => {
  const linear = x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const lum = c => { const v = c.map(x => linear(x / 255));
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const worded = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (e.closest('svg, .hidden') || !worded) continue;
    const a = lum(rgb(getComputedStyle(e).color));
    const b = lum(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push([ratio.toFixed(2), e.outerHTML.slice(0, 80)]);
  }
  return bad }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["truncated", "bilobar"])
def test_contrast_is_enough(kind: str, scheme: str, opened: Callable[..., Any]) -> None:
    page = opened(kind, 1280, scheme)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize(
    ("kind", "scheme"), [("bilobar", "dark"), ("truncated", "light"), ("diffuse", "light")]
)
def test_print_on_a4(kind: str, scheme: str, opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened(kind, 1280, scheme)
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    assert 2 <= len(pages) <= 3
    assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45][\d.]* 84[12]", pdf), "A4"
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 710, "height": 1000})  # the printable width of A4
    spilled = page.evaluate(
        """() => [...document.querySelectorAll('main td, main th, main img, main dd, main li')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert not spilled
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(18, 22, 28)"
    shown = page.evaluate("document.querySelector('.manifest dd').getBoundingClientRect().height")
    assert shown > 0, "the manifest is on paper too"
