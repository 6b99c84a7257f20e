"""The rules engine: published criteria as data, decided in three values over intervals and draws.

``derive`` completes the facts, ``load_books`` reads the rules, ``assess`` decides them.
"""

from burden.assess.check import check_books
from burden.assess.decide import answers, assess, decide, without_lesions
from burden.assess.derive import derive, disagreements
from burden.assess.describe import describe_book
from burden.assess.evidence import evidence_for
from burden.assess.explain import decided_by, explain, in_grey_zone
from burden.assess.load import load_book, load_books, references
from burden.assess.logic import Table, table_from, table_of
from burden.assess.pathway import Option, Pathway, pathway
from burden.assess.policy import Override, Policy, assess_locally, load_policy
from burden.assess.rulebook import Criterion, Group, RuleBook
from burden.assess.suppose import Supposed, assess_with
from burden.assess.what_if import Change, answer_with, single_changes
from burden.assess.worth import Worth, worth_of_facts

__all__ = [
    "Change",
    "Criterion",
    "Group",
    "Option",
    "Override",
    "Pathway",
    "Policy",
    "RuleBook",
    "Supposed",
    "Table",
    "Worth",
    "answer_with",
    "answers",
    "assess",
    "assess_locally",
    "assess_with",
    "check_books",
    "decide",
    "decided_by",
    "derive",
    "describe_book",
    "disagreements",
    "evidence_for",
    "explain",
    "in_grey_zone",
    "load_book",
    "load_books",
    "load_policy",
    "pathway",
    "references",
    "single_changes",
    "table_from",
    "table_of",
    "without_lesions",
    "worth_of_facts",
]
