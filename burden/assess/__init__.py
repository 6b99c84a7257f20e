"""The rules engine: published criteria as data, decided in three values over intervals and draws.

``derive`` completes the facts, ``load_books`` reads the rules, ``assess`` decides them for one
patient: ``assess(facts, load_books()) -> tuple[Assessment, ...]``.

A cohort, or any table of a million rows, goes through the same books at once, deriving included:
``decide_table(table_from(columns), load_books()) -> {book id: int8 (rows,), -1 no 0 unknown +1 yes}``,
and ``criteria_table(table, book)`` gives every criterion of a book.
"""

from burden.assess.appraise import appraise
from burden.assess.check import check_books
from burden.assess.decide import answers, assess, decide, without_lesions
from burden.assess.derive import derive, disagreements
from burden.assess.describe import describe_book
from burden.assess.evidence import evidence_for
from burden.assess.explain import decided_by, explain, in_grey_zone
from burden.assess.load import elsewhere, load_book, load_books, references
from burden.assess.logic import Table, Verdicts, table_from, table_of
from burden.assess.pathway import pathway
from burden.assess.policy import Override, Policy, assess_locally, load_policy
from burden.assess.rulebook import Criterion, Group, RuleBook
from burden.assess.suppose import Supposed, assess_with
from burden.assess.table import criteria_table, decide_table, derive_table, with_lesions
from burden.assess.treat import planned, treated, with_treatment
from burden.assess.what_if import Change, answer_with, single_changes
from burden.assess.worth import worth_of_facts

__all__ = [
    "Change",
    "Criterion",
    "Group",
    "Override",
    "Policy",
    "RuleBook",
    "Supposed",
    "Table",
    "Verdicts",
    "answer_with",
    "answers",
    "appraise",
    "assess",
    "assess_locally",
    "assess_with",
    "check_books",
    "criteria_table",
    "decide",
    "decide_table",
    "decided_by",
    "derive",
    "derive_table",
    "describe_book",
    "disagreements",
    "elsewhere",
    "evidence_for",
    "explain",
    "in_grey_zone",
    "load_book",
    "load_books",
    "load_policy",
    "pathway",
    "planned",
    "references",
    "single_changes",
    "table_from",
    "table_of",
    "treated",
    "with_lesions",
    "with_treatment",
    "without_lesions",
    "worth_of_facts",
]
