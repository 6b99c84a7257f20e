"""Local policy: a site's own thresholds and books, always shown beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burden.assess.decide import assess, without_lesions
from burden.assess.describe import test_in_words
from burden.assess.load import limit_of, load_book
from burden.assess.located import Located, only, read_located, text_of
from burden.assess.rulebook import LOCAL, Criterion, Group, Node, RuleBook, walk
from burden.case import Assessment
from burden.errors import RuleError
from burden.facts import Facts
from burden.vocabulary import vocabulary

POLICY_FILE = "policy.yaml"


@dataclass(frozen=True)
class Override:
    """One limit of one published criterion, replaced, and why."""

    book: str
    criterion: str
    limit: float | frozenset[str]
    reason: str


@dataclass(frozen=True)
class Policy:
    """What a site does differently: limits of its own, and books of its own."""

    site: str
    overrides: tuple[Override, ...] = ()
    books: tuple[RuleBook, ...] = ()


def load_policy(folder: Path, books: Sequence[RuleBook]) -> Policy:
    """The policy of a folder: ``policy.yaml`` (site, overrides), every other YAML file a book.

    Raises
    ------
    RuleError
        File, line and what is wrong: no such book or criterion, a limit of the wrong kind, no
        reason, or a book that has the id of a published one.
    """
    path = folder / POLICY_FILE
    top = read_located(path)
    only(top, {"site", "overrides"})
    added = tuple(
        load_book(other) for other in sorted(folder.rglob("*.yaml")) if other.name != POLICY_FILE
    )
    published = {book.id: book for book in books}
    for book in added:
        if book.id in published:
            raise RuleError(
                f"`{book.id}` is a published book.",
                where=f"{book.path}:1",
                hint="Give the local book another id, or override a limit in policy.yaml.",
            )
    items = top.get("overrides", [])
    if not isinstance(items, list):
        raise RuleError("`overrides` must be a list.", where=top.where("overrides"))
    overrides = tuple(_override(item, top, published) for item in items)
    pairs = [(o.book, o.criterion) for o in overrides]
    for item, pair in zip(items, pairs, strict=True):
        if pairs.count(pair) > 1:
            raise RuleError(f"`{pair[1]}` of {pair[0]} is overridden twice.", where=item.where())
    return Policy(text_of(top, "site"), overrides, added)


def assess_locally(facts: Facts, books: Sequence[RuleBook], policy: Policy) -> tuple[Assessment, ...]:
    """Decide the books as published, each with local limits followed by its local variant.

    The variant has the book's id with ``.local``; its note names every limit that differs, the
    reason, and the published answer. Books that the site added come last. As in `assess`, a
    liver without lesions gets no verdicts.
    """
    if without_lesions(facts):
        return ()
    found: list[Assessment] = []
    for said, book in zip(assess(facts, books), books, strict=True):
        found.append(said)
        own = [o for o in policy.overrides if o.book == book.id]
        if own:
            (local,) = assess(facts, [with_overrides(book, own, policy.site)])
            note = f"As published the answer is {said.answer}. {local.note}"
            found.append(replace(local, note=note))
    return (*found, *(_marked(a, policy.site) for a in assess(facts, policy.books)))


def with_overrides(book: RuleBook, overrides: Sequence[Override], site: str) -> RuleBook:
    """The book with local limits; its id, title, criteria and note say so."""
    limits = {o.criterion: o for o in overrides}

    def changed(node: Node) -> Node:
        return _replaced(node, "", limits)

    before = _criteria(book)
    told = [
        f"{o.criterion}: {test_in_words(replace(before[o.criterion], limit=o.limit))}"
        f" instead of {test_in_words(before[o.criterion])} ({o.reason})"
        for o in overrides
    ]
    return replace(
        book,
        id=book.id + LOCAL,
        version=f"{book.version}+local",
        title=f"{book.title}, local policy of {site}",
        short=f"{book.name}, local",
        criteria=changed(book.criteria),
        contraindications=tuple(map(changed, book.contraindications)),
        advisories=tuple(map(changed, book.advisories)),
        note=f"Not as published: {'; '.join(told)}. {book.note}".strip(),
    )


def _replaced(node: Node, above: str, limits: dict[str, Override]) -> Node:
    path = ".".join(part for part in (above, node.id) if part)
    if isinstance(node, Group):
        return replace(node, nodes=tuple(_replaced(inner, path, limits) for inner in node.nodes))
    if path not in limits:
        return node
    local = replace(node, limit=limits[path].limit)
    return replace(local, text=f"{node.text} (locally {test_in_words(local)})")


def _criteria(book: RuleBook) -> dict[str, Criterion]:
    tops = (book.criteria, *book.contraindications, *book.advisories)
    return {path: node for top in tops for path, node in walk(top) if isinstance(node, Criterion)}


def _override(given: Any, top: Located, published: dict[str, RuleBook]) -> Override:
    if not isinstance(given, Located):
        raise RuleError(
            "an override is {book, criterion, limit, unit, reason}.", where=top.where("overrides")
        )
    only(given, {"book", "criterion", "limit", "unit", "reason"})
    book = published.get(text_of(given, "book"))
    if book is None:
        raise RuleError(f"no book is called `{given['book']}`.", where=given.where("book"))
    leaf = _criteria(book).get(text_of(given, "criterion"))
    if leaf is None:
        raise RuleError(
            f"{book.id} has no criterion `{given['criterion']}`.",
            where=given.where("criterion"),
            hint=f"It has: {', '.join(_criteria(book))}.",
        )
    limit = limit_of(given, vocabulary()[leaf.fact], leaf.op)
    return Override(book.id, given["criterion"].strip(), limit, text_of(given, "reason"))


def _marked(said: Assessment, site: str) -> Assessment:
    return replace(said, note=f"Local book of {site}, not a published rule. {said.note}".strip())
