"""Rule books as plain data for tables, pages and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from burden.assess.evidence import published, published_key
from burden.assess.load import references
from burden.assess.rulebook import Criterion, Group, Node, RuleBook
from burden.options import Published
from burden.vocabulary import vocabulary


def describe_book(book: RuleBook) -> dict[str, Any]:
    """A book with every criterion and the papers it comes from, as plain dicts and lists."""
    cited = {c.source for _, _, node in book.rows() for c in node.cite}
    return {
        "id": book.id,
        "version": book.version,
        "title": book.title,
        "status": book.status,
        "purpose": book.purpose,
        "modality": book.modality,
        "inventory": list(book.inventory),
        "note": book.note,
        "criteria": [_row(*row) for row in book.rows()],
        "facts": [
            {"id": f, "text": vocabulary()[f].text, "from": vocabulary()[f].origin} for f in book.facts()
        ],
        "sources": {key: dict(references()[key]) for key in sorted(cited)},
        "published": _published(book),
    }


def _published(book: RuleBook) -> dict[str, Any]:
    """What the papers' tables report for what the book is about; nothing for a book that informs."""
    key = published_key(book.id, book.modality) if book.purpose == "eligibility" else ""
    told = published(key) if key else Published()
    return {"summary": list(told.summary), "arms": [asdict(arm) for arm in told.arms]}


def _row(kind: str, path: str, node: Node) -> dict[str, Any]:
    row = {"id": path, "kind": kind, "text": node.text, "test": test_in_words(node)}
    row["cite"] = [f"{c.source}, {c.where}" for c in node.cite]  # type: ignore[assignment]
    return row | ({"note": node.note} if node.note else {})


def test_in_words(node: Node) -> str:
    """The test in words: ``tumor.burden < 50 %``, ``all of 2``."""
    if isinstance(node, Criterion):
        if isinstance(node.limit, frozenset):
            return f"{node.fact} {node.op} {' | '.join(sorted(node.limit))}"
        return f"{node.fact} {node.op} {node.limit:g}{'' if node.unit == '1' else ' ' + node.unit}"
    return _group_text(node)


def _group_text(group: Group) -> str:
    if group.join == "at_least":
        return f"at least {group.count} of {len(group.nodes)}"
    if group.join == "readings":
        return f"{len(group.nodes)} readings, {group.nodes[group.decides].id} decides"
    return "not" if group.join == "not" else f"{group.join} of {len(group.nodes)}"
