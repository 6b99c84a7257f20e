"""Everything that can be said of one patient's options: verdicts, pathway, what to ask next."""

from __future__ import annotations

from collections.abc import Sequence

from burden.assess.decide import assess
from burden.assess.pathway import pathway
from burden.assess.policy import Policy, assess_locally
from burden.assess.rulebook import RuleBook
from burden.assess.treat import Plan, with_treatment
from burden.assess.worth import worth_of_facts
from burden.case import Assessment
from burden.facts import Facts
from burden.lesions import Lesion
from burden.options import Pathway


def appraise(
    facts: Facts,
    books: Sequence[RuleBook],
    *,
    policy: Policy | None = None,
    lesions: Sequence[Lesion] = (),
    plans: Sequence[Plan] = (),
) -> tuple[tuple[Assessment, ...], Pathway]:
    """Decide the books for one patient and lay the options side by side.

    Parameters
    ----------
    policy
        The site's own limits and books, decided beside the published ones.
    lesions, plans
        Of a measured case: they let what-if name the lesions or the plan that would do.
    """
    said = assess_locally(facts, books, policy) if policy else assess(facts, books)
    said = with_treatment(said, facts, books, lesions, plans)
    return said, pathway(said, worth_of_facts(facts, books))
