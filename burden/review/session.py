"""One session: where the correction stands, how it came there, and the way back.

The masks of the present are kept whole; every step keeps only its patch, so that undo has no end
and memory stays small.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from burden.errors import UsageError
from burden.review.base import Base
from burden.review.masks import Box, Masks, Patch
from burden.review.recompute import Concluded, recompute
from burden.review.state import Ledger, Mark, State, start_of

KEPT = 64
"""Conclusions of this many steps are kept, so that undo shows its numbers at once."""


@dataclass(frozen=True, eq=False)
class Step:
    """One edit in the history.

    Parameters
    ----------
    id
        Counts on for ever; a step that was undone and replaced leaves its number unused.
    patch
        None where only something was said, and no voxel changed.
    record
        Who, when, what and the volumes before and after, as the manifest tells it.
    """

    id: int
    patch: Patch | None
    before: Ledger
    after: Ledger
    record: Mapping[str, Any]


Edit = Callable[[State], tuple[str, State, Patch | None]]
"""From a state to what was done, the state after it, and the voxels that changed."""


class Session:
    """State, history and conclusions of one review; safe to use from several threads."""

    def __init__(self, base: Base, reader: str = "") -> None:
        self.base = base
        self.reader = reader
        self._lock = threading.Condition()
        self._state = self._start = start_of(base.masks)
        self._steps: list[Step] = []
        self._at = 0
        self._count = 0
        self._done: OrderedDict[int, Concluded] = OrderedDict()
        self._failed: dict[int, str] = {}
        self._closed = False

    # --- where it stands -----------------------------------------------------------------

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing else changes in here: what is read belongs together."""
        with self._lock:
            yield

    @property
    def state(self) -> State:
        """Where the correction stands."""
        with self._lock:
            return self._state

    @property
    def step_id(self) -> int:
        """Id of the last step; 0 before the first."""
        with self._lock:
            return self._step_id()

    @property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """The edits that hold, in order."""
        with self._lock:
            return tuple(step.record for step in self._steps[: self._at])

    @property
    def undo_text(self) -> str:
        """What undo would take back, "" for nothing."""
        with self._lock:
            return str(self._steps[self._at - 1].record["what"]) if self._at else ""

    @property
    def redo_text(self) -> str:
        """What redo would do again, "" for nothing."""
        with self._lock:
            more = self._steps[self._at :]
            return str(more[0].record["what"]) if more else ""

    # --- going on and back ---------------------------------------------------------------

    def do(self, edit: Edit, mark: Mark) -> Box | None:
        """Do an edit and put it into the history; the box that changed.

        Raises
        ------
        UsageError
            If the edit is not possible; nothing has changed then.
        """
        with self._lock:
            before = self._state
            what, after, patch = edit(before)
            self._count += 1
            record = recorded(what, mark, before.masks, after.masks)
            step = Step(self._count, patch, before.ledger, after.ledger, record)
            self._steps[self._at :] = [step]
            self._at += 1
            self._state = after
            self._lock.notify_all()
            return None if patch is None else patch.box

    def undo(self) -> Box | None:
        """Take the last step back; the box that changed."""
        with self._lock:
            if not self._at:
                raise UsageError("there is nothing to undo.")
            self._at -= 1
            step = self._steps[self._at]
            masks = self._state.masks if step.patch is None else step.patch.backward(self._state.masks)
            return self._moved(step.before.with_masks(masks), step)

    def redo(self) -> Box | None:
        """Do a step again that was undone; the box that changed."""
        with self._lock:
            if self._at == len(self._steps):
                raise UsageError("there is nothing to do again.")
            step = self._steps[self._at]
            self._at += 1
            masks = self._state.masks if step.patch is None else step.patch.forward(self._state.masks)
            return self._moved(step.after.with_masks(masks), step)

    def _moved(self, state: State, step: Step) -> Box | None:
        self._state = state
        self._lock.notify_all()
        return None if step.patch is None else step.patch.box

    # --- conclusions ---------------------------------------------------------------------

    def concluded(self, step_id: int, timeout: float) -> Concluded | None:
        """The conclusion of a step, waiting for it; None if it takes longer or was overtaken.

        Raises
        ------
        UsageError
            If these masks cannot be measured.
        """
        with self._lock:
            self._lock.wait_for(
                lambda: (
                    step_id in self._done
                    or step_id in self._failed
                    or step_id not in (0, self._step_id())
                    or self._closed
                ),
                timeout,
            )
            if step_id in self._failed:
                raise UsageError(self._failed[step_id])
            return self._done.get(step_id)

    def work(self) -> None:
        """Conclude whatever the masks are, again and again, until closed; run it in a thread."""
        from burden.errors import BurdenError

        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or self._next() is not None)
                wanted = self._next()
                if self._closed or wanted is None:
                    return
                step_id, state = wanted
            done, why = None, ""
            try:
                done = recompute(self.base, state)
            except BurdenError as error:
                why = str(error)
            except Exception as error:  # a bug must not leave the page waiting for ever
                why = f"this is a bug: {type(error).__name__}: {error}"
            with self._lock:
                if done is None:
                    self._failed[step_id] = why
                else:
                    self._keep(step_id, done)
                self._lock.notify_all()

    def close(self) -> None:
        """Let the worker end."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def _keep(self, step_id: int, done: Concluded) -> None:
        """Keep what is said, without the arrays."""
        self._done[step_id] = replace(done, case=replace(done.case, images=None))
        while len(self._done) > KEPT:
            del self._done[next(i for i in self._done if i)]  # the first one is what all is compared to

    def _next(self) -> tuple[int, State] | None:
        """What to conclude next: the start first, to which all is compared, then the present."""
        for step_id, state in ((0, self._start), (self._step_id(), self._state)):
            if step_id not in self._done and step_id not in self._failed:
                return step_id, state
        return None

    def _step_id(self) -> int:
        return self._steps[self._at - 1].id if self._at else 0


def recorded(what: str, mark: Mark, before: Masks, after: Masks) -> dict[str, Any]:
    """One line of the audit trail: lesions by their number in the session."""
    numbers = sorted({*before.numbers, *after.numbers})
    changed = {
        str(n): {"before_ml": _ml(before.ml(n)), "after_ml": _ml(after.ml(n))}
        for n in numbers
        if before.ml(n) != after.ml(n)
    }
    return {
        "what": what,
        "who": mark.who,
        "when": mark.when,
        "lesions": changed,
        "tumor_ml": {"before": _ml(before.tumor_ml), "after": _ml(after.tumor_ml)},
        "liver_ml": {"before": _ml(before.liver_ml), "after": _ml(after.liver_ml)},
    }


def _ml(value: float) -> float:
    return round(value, 4)
