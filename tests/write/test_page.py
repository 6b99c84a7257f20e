"""report.html: what it says, that it holds nothing but itself, and how it stands in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from burden.answer import Answer
from burden.assess import appraise, derive, load_books
from burden.case import RESEARCH_USE, Assessment, Case, Citation, CriterionResult
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.write.page import render
from burden.write.verdicts import verdict

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
def patient(case_of: Callable[[str], Case]) -> Case:
    """The bilobar liver with every shipped book, lesions and plans, as the main job appraises it."""
    case = case_of("bilobar")
    plan: dict[str, Any] = {
        "name": "right hepatectomy + 1 ablation", "roles": ["best", "front"], "extent": 5,
        "removed_segments": [5, 6, 7, 8], "resections": 1, "ablated_lesions": [3],
        "wedged_lesions": [], "debulked_percent": 100.0, "residual_lesions": 0, "flr_ml": 500.0,
        "flr_percent": 33.0, "sflr_percent": None, "p_flr_enough": 0.91, "min_flr_percent": 30.0,
        "growth": None,
    }  # fmt: skip
    small = plan | {
        "name": "extended right", "roles": ["extended_right"], "debulked_percent": 82.0,
        "residual_lesions": 1, "flr_percent": 17.8, "p_flr_enough": 0.0, "ablated_lesions": [],
        "growth": {"factor": 1.69, "points": 12.2, "weeks_at_2_percent": 6.1, "method": "ALPPS"},
    }  # fmt: skip
    known = Facts([Fact("tumor.functional", Choice.of("yes"), "", "facts.yaml"),
                   Fact("tumor.refractory_symptoms", Choice.of("yes"), "", "facts.yaml"),
                   Fact("debulk.best.percent", Interval(82.0, 82.0), "%", "test")])  # fmt: skip
    facts = derive(case.facts | known)
    said, pathway = appraise(facts, load_books(), lesions=case.lesions, plans=(plan, small))
    said_of = {"answer": "unknown", "p": 0.91, "plan": plan["name"]}
    targets = [{"target_percent": target} | said_of for target in (70.0, 90.0)]
    reached = {
        "normal": {"minimum": 20.0, "answer": "yes", "p": None},
        "cirrhosis": {"minimum": 40.0, "answer": "no", "p": None},
    }
    search = {
        "answers": targets,
        "staged": [{"plan": "extended right", "debulked_percent": 82.0, **small["growth"]}],
        "minima": [{"plan": "right_hepatectomy", "measure": "flr", "percent": 27.4, "reaches": reached}],
    }
    return replace(
        case, facts=facts, assessments=said, pathway=pathway, plans=(plan, small), planned=search
    )


@pytest.fixture(scope="module")
def page_of(case_of: Callable[[str], Case], patient: Case) -> Callable[[str], str]:
    made: dict[str, str] = {"patient": render(patient)}

    def get(kind: str) -> str:
        if kind not in made:
            made[kind] = render(case_of(kind))
        return made[kind]

    return get


# --- what it says -----------------------------------------------------------------------------


def test_order_of_the_page(page_of: Callable[[str], str]) -> None:
    text = Words(page_of("truncated")).text
    order = ["case-truncated", RESEARCH_USE, "Read first", "The top of the liver lies outside",
             "guessed", "Tumor burden", "not known", "at least 1,240 mL",
             "Options by published criteria", "Pictures", "From the front", "Couinaud segment",
             "Options side by side", "Lesions",
             "Rule books, each with every criterion", "Definitions used", "Manifest"]  # fmt: skip
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
    table = page.text[page.text.index("Options side by side") :]
    assert table.index("Resection Book 0") < table.index("Ablation Book 1")
    assert "Yes = it applies" in page.text
    assert "fact.2; and 3 more" in page.text
    assert "fact.5" in page.text, "the whole list stands with the book"


@pytest.fixture(scope="module")
def patient_page(page_of: Callable[[str], str]) -> Words:
    return Words(page_of("patient"))


def test_first_screen_says_what_is_possible_and_what_is_missing(patient_page: Words) -> None:
    first = patient_page.text[: patient_page.text.index("Pictures")]
    for name in ("Milan (NET): ", "Thermal ablation: ", "Debulking surgery: Criteria met", "PRRT: "):
        assert name in first
    assert "none is recommended" in first
    assert "Most worth finding out" in first
    assert "not from imaging" in first


def _anchor(book: str) -> str:
    return "book-" + book.replace(".", "-").replace("_", "-")


def test_every_option_leads_to_its_book_and_its_outcomes(patient: Case, patient_page: Words) -> None:
    """Every anchor that is pointed to exists once, and every book has a page of all its criteria."""
    page = patient_page
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    targets = {(attrs.get("href") or "#")[1:] for tag, attrs in page.tags if tag == "a"}
    assert len(ids) == len(set(ids))
    assert targets <= set(ids)
    assert {_anchor(option.book) for option in patient.pathway.options} <= targets
    assert sum(target.startswith("published-") for target in targets) >= 4
    for one in patient.assessments:
        assert _anchor(one.book) in ids
        for row in one.criteria:
            assert " ".join(row.text.split()) in page.text, row.id
            assert row.test in page.text


def test_readings_that_differ_are_shown_with_their_sources(patient_page: Words) -> None:
    """82 % can be removed: above 70 %, below 90 % and 95 %."""
    text = patient_page.text
    assert "At least 90 % (S1 Debulking surgery, S2 Section 2.1): no" in text
    assert "readings differ" in text[text.index("Options side by side") :]


def test_published_outcomes_stand_beside_the_options(patient_page: Words) -> None:
    text = patient_page.text
    assert "5-year survival 41 to 100 % (17 study arms, S1 Table 1, S2 Table 1)" in text
    # S1 Table 1, read by eye: Mayo 2010, 339 patients, 74 % after 5 years
    mayo = re.search(r"Mayo 2010\s*339(.{0,60})", text)
    assert mayo
    assert "74" in mayo[1]
    assert "no forecast for this one" in text


def test_plans_answer_the_two_questions(patient_page: Words) -> None:
    page = patient_page
    asked = r"Clear at least 90 % of the tumor and keep at least 30 % of the liver\?\s*\??\s*Unknown"
    assert re.search(asked, page.text)
    assert "right hepatectomy + 1 ablation: 100 %, FLR 33.0 %, P 91 %" in page.text
    assert "+12.2 points: 6.1 weeks at 2 a week; ALPPS" in page.text
    assert "In two stages: extended right clears 82.0 % after +12.2 points: 6.1 weeks" in page.text
    least = "FLR of at least 20 %, the published minimum for a normal liver. Left by: Right hepatectomy."
    assert least in page.text
    drawn = [a for tag, a in page.tags if tag == "circle" and "plan" in (a.get("class") or "")]
    assert [one["class"] for one in drawn] == ["plan on best", "plan few"]
    assert float(drawn[0]["cx"] or 0) > float(drawn[1]["cx"] or 0)
    assert float(drawn[0]["cy"] or 0) < float(drawn[1]["cy"] or 0)


def test_nothing_in_the_page_recommends(patient_page: Words) -> None:
    """A book may say what a guideline recommends; the page itself never does."""
    said = patient_page.text.lower()
    assert not re.search(r"we recommend|treatment of choice|best option|should be treated", said)


# --- how it stands in a browser -----------------------------------------------------------------


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
@pytest.mark.parametrize("kind", ["patient", "truncated", "diffuse"])
def test_no_sideways_scrolling(kind: str, width: int, font: str, opened: Callable[..., Any]) -> None:
    page = opened(kind, width, font=font)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    spilled = page.evaluate(
        """w => [...document.querySelectorAll('main *')]
        .filter(e => !e.closest('.hidden, svg, .gauge, .arms'))
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
@pytest.mark.parametrize("kind", ["truncated", "patient"])
def test_contrast_is_enough(kind: str, scheme: str, opened: Callable[..., Any]) -> None:
    page = opened(kind, 1280, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
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
