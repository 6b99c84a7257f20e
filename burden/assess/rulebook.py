"""RuleBook, Group, Criterion: a published rule as frozen values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from burden.case import Citation

Op = Literal["<", "<=", ">", ">=", "==", "!=", "in"]
Join = Literal["all", "any", "not", "at_least", "readings"]
Grade = Literal["+++", "+", "-"]  # preferred, reasonable, not recommended: as S4 Table 1 prints them
Grades = tuple[tuple[str, Grade], ...]
Kind = Literal["criterion", "contraindication", "advisory"]
LOCAL = ".local"  # ends the id of a book with local limits


@dataclass(frozen=True)
class Criterion:
    """One comparison: ``fact op limit unit``.

    Parameters
    ----------
    limit
        A number in ``unit``, or the options for which a choice meets the criterion.
    cite
        Where it is printed; never empty.
    grades
        Treatments with their printed grade, where it is a scenario of a grid.
    """

    id: str
    text: str
    fact: str
    op: Op
    limit: float | frozenset[str]
    unit: str
    cite: tuple[Citation, ...]
    note: str = ""
    line: int = 0
    grades: Grades = ()


@dataclass(frozen=True)
class Group:
    """Several nodes joined.

    Parameters
    ----------
    join
        ``readings`` holds variants of one criterion on which the papers disagree: all are
        evaluated, the one numbered ``decides`` gives the answer.
    count
        How many nodes ``at_least`` asks for.
    """

    id: str
    text: str
    join: Join
    nodes: tuple[Node, ...]
    count: int = 0
    decides: int = 0
    cite: tuple[Citation, ...] = ()
    note: str = ""
    line: int = 0
    grades: Grades = ()


Node = Criterion | Group


@dataclass(frozen=True)
class RuleBook:
    """One published rule.

    Parameters
    ----------
    id
        Namespaced by disease and treatment, e.g. ``nelm.transplant.milan``.
    purpose
        ``eligibility``: yes means the published criteria are met. ``information``: yes means
        that what the book describes applies; it makes nobody eligible.
    inventory
        The rows of the inventory of published systems that it covers, e.g. ``C1``.
    short
        Name for a label, beside others of its modality.
    """

    id: str
    version: str
    title: str
    modality: str
    criteria: Node
    contraindications: tuple[Node, ...] = ()
    advisories: tuple[Node, ...] = ()
    purpose: Literal["eligibility", "information"] = "eligibility"
    status: Literal["draft", "released", "superseded"] = "released"
    inventory: tuple[str, ...] = ()
    note: str = ""
    path: str = ""
    short: str = ""

    @property
    def name(self) -> str:
        """The short name where it has one, else the title."""
        return self.short or self.title

    @property
    def root(self) -> Group:
        """What decides: the criteria, and none of the contraindications."""
        vetoes = tuple(Group("", "", "not", (node,)) for node in self.contraindications)
        return Group("", "", "all", (self.criteria, *vetoes))

    def sections(self) -> Iterator[tuple[Kind, Node]]:
        """The nodes a reader sees, with their kind; an unnamed ``all`` on top is opened up."""
        top = self.criteria
        opened = isinstance(top, Group) and not top.id and top.join == "all"
        for node in top.nodes if isinstance(top, Group) and opened else (top,):
            yield "criterion", node
        for node in self.contraindications:
            yield "contraindication", node
        for node in self.advisories:
            yield "advisory", node

    def rows(self) -> Iterator[tuple[Kind, str, Node]]:
        """Every named node, parents first, with its path: ``burden``, ``burden.standard``."""
        for kind, node in self.sections():
            for path, inner in walk(node):
                if inner.id:
                    yield kind, path, inner

    def facts(self) -> tuple[str, ...]:
        """Ids of all facts it looks at, in reading order."""
        found = (f for _, node in self.sections() for f in facts_in(node))
        return tuple(dict.fromkeys(found))


def walk(node: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    """A node and all nodes below it, each with its dotted path."""
    path = ".".join(part for part in (above, node.id) if part)
    yield path, node
    if isinstance(node, Group):
        for inner in node.nodes:
            yield from walk(inner, path)


def leaves(node: Node) -> Iterator[Criterion]:
    """All comparisons of a node."""
    for _, inner in walk(node):
        if isinstance(inner, Criterion):
            yield inner


def facts_in(node: Node) -> tuple[str, ...]:
    """Ids of the facts a node looks at, in reading order."""
    return tuple(dict.fromkeys(leaf.fact for leaf in leaves(node)))
