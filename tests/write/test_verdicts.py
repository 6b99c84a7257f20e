"""Verdicts in words."""

from __future__ import annotations

import pytest

from burden.answer import Answer
from burden.case import Assessment
from burden.facts import Facts
from burden.write.verdicts import verdict


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (Answer.YES, "applies"),
        (Answer.NO, "does not apply"),
        (Answer.UNKNOWN, "cannot be decided yet"),
    ],
)
def test_a_book_that_informs_makes_nobody_eligible(answer: Answer, meaning: str) -> None:
    informs = Assessment("nelm.safety.x", "X", answer, (), purpose="information")
    assert verdict(informs, Facts()).meaning == meaning
    assert "criteria" not in verdict(informs, Facts()).meaning
