"""Where a correction stands: masks, and what is said about each lesion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from burden.review.masks import Masks, Patch


@dataclass(frozen=True)
class Mark:
    """Who did something, and when (ISO 8601, UTC)."""

    who: str
    when: str

    def __str__(self) -> str:
        return f"{self.who} at {self.when}"


@dataclass(frozen=True, eq=False)
class State:
    """Masks and what is said of them; never changed in place.

    Parameters
    ----------
    edited
        Who touched each lesion last, by number; a lesion that is not here is as it was.
    deleted
        Lesions that were deleted and can be restored: the patch that took each away.
    complete
        Who said that the outline of the liver is right and all lesions are marked; None while
        nobody did.
    next_number
        Numbers are never used twice in a session.
    """

    masks: Masks
    edited: Mapping[int, Mark] = field(default_factory=dict)
    deleted: Mapping[int, Patch] = field(default_factory=dict)
    complete: Mark | None = None
    next_number: int = 1

    @property
    def ledger(self) -> Ledger:
        """All but the masks, which are too large to be kept for every step."""
        return Ledger(self.edited, self.deleted, self.complete, self.next_number)


@dataclass(frozen=True, eq=False)
class Ledger:
    """A state without its masks."""

    edited: Mapping[int, Mark]
    deleted: Mapping[int, Patch]
    complete: Mark | None
    next_number: int

    def with_masks(self, masks: Masks) -> State:
        """The state again."""
        return State(masks, self.edited, self.deleted, self.complete, self.next_number)


def start_of(masks: Masks) -> State:
    """Nothing corrected yet."""
    return State(masks, next_number=max(masks.numbers, default=0) + 1)
