"""What the page is answered: one function for each thing it asks, values in and values out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from burden.case import RESEARCH_USE
from burden.errors import UsageError
from burden.review.actions import action, preview
from burden.review.masks import Box
from burden.review.recompute import declared_by
from burden.review.save import free_name, place_for, save
from burden.review.session import Session
from burden.review.state import Mark
from burden.review.view import View
from burden.review.words import shown

Json = dict[str, Any]
Asked = Mapping[str, Any]
WAIT_S = 20.0
"""How long a question for a conclusion is kept open."""
LONGEST_NAME = 80


class Answers:
    """A session as the page sees it.

    Parameters
    ----------
    out
        Where to save first; None for a folder beside the run's. The page names each one.
    """

    def __init__(self, session: Session, out: Path | None = None) -> None:
        self.session = session
        self.view = View(session.base.volume.grid)
        self.out = out
        self._saving = threading.Lock()
        data = session.base.volume.data
        self._low, self._step = _scale(data) if data.dtype.kind == "f" else (0.0, 1.0)

    # --- read ----------------------------------------------------------------------------

    def case(self, _asked: Asked) -> Json:
        """All that does not change, and where the correction stands."""
        base, grid = self.session.base, self.view.grid
        with self.session.still():
            stands = self._after(self.session.state.masks.window)
        return {
            "case_id": base.case.case_id,
            "research_use": RESEARCH_USE,
            "modality": base.volume.modality,
            "phase": base.volume.phase,
            "shape": list(grid.shape),
            "spacing": list(grid.spacing),
            "slice_axis": self.view.slice_axis,
            "scale": [self._low, self._step],
            "presets": self._presets(),
            "reader": self.session.reader,
            "declared_by": declared_by(base.case.manifest),
            "overlooks": any(f.code == "lesions-overlooked" for f in base.findings),
            **stands,
        }

    def stands(self, asked: Asked) -> Json:
        """Where the correction stands; no more than its step where the page knows it already."""
        with self.session.still():
            if asked.get("step") == self.session.step_id:
                return {"step": self.session.step_id}
            return self._after(self.session.state.masks.window)

    def image(self, first: int, last: int) -> bytes:
        """Axial slices ``first`` to ``last`` (not included) of the page, int16, x fastest."""
        turned = self.view.turned(self.session.base.volume.data)[:, :, max(first, 0) : max(last, 0)]
        part = turned.transpose(2, 1, 0)
        if part.dtype.kind == "f":
            part = np.rint((np.nan_to_num(part) - self._low) / self._step)
        return np.ascontiguousarray(np.clip(part, -32768, 32767).astype("<i2")).tobytes()

    def conclusion(self, asked: Asked) -> Json:
        """Numbers and verdicts of a step; ``waiting`` where they are not there yet."""
        step = asked.get("of")
        if not isinstance(step, int):
            raise UsageError("`of` must be the number of a step.")
        done = self.session.concluded(step, WAIT_S)
        if done is None:
            return {"of": step, "waiting": True, "step": self.session.step_id}
        return {"of": step, **shown(done, self.view)}

    def preview(self, asked: Asked) -> Json:
        """What a click would add, before it is added."""
        found = preview(self.view.asked(asked), self.session.base.volume, self.session.state)
        ml = float(np.count_nonzero(found.region)) * self.view.grid.voxel_ml
        return {
            "part": self.view.packed(found.region.astype(np.uint8), found.box),
            "ml": ml,
            "spot": found.spot,
            "liver": found.liver,
            "at_limit": found.at_limit,
        }

    # --- change --------------------------------------------------------------------------

    def do(self, asked: Asked) -> Json:
        """An edit."""
        name = str(asked.get("action", ""))
        mark = Mark(self._reader(asked), datetime.now(UTC).isoformat(timespec="seconds"))
        edit = action(name, self.view.asked(asked), self.session.base.volume, mark)
        with self._as_seen(asked):
            return self._after(self.session.do(edit, mark))

    def undo(self, asked: Asked) -> Json:
        """One step back."""
        with self._as_seen(asked):
            return self._after(self.session.undo())

    def redo(self, asked: Asked) -> Json:
        """One step forward again."""
        with self._as_seen(asked):
            return self._after(self.session.redo())

    def save(self, asked: Asked) -> Json:
        """Write the new folder."""
        reader = self._reader(asked)
        if not self._saving.acquire(blocking=False):
            raise UsageError("it is being saved already.")
        try:
            base = self.session.base
            out = place_for(base.folder, str(asked.get("name", "")), self.out)
            with self._as_seen(asked):
                step, state, records = self.session.step_id, self.session.state, self.session.records
            where, case = save(base, state, records, reader, out)
            return {
                "folder": str(where),
                "lesions": len(case.lesions),
                "missing": [f.text for f in case.findings if f.code == "dicom-object-missing"],
                "saved": step,
                **self._stands(),
            }
        finally:
            self._saving.release()

    # --- parts ---------------------------------------------------------------------------

    @contextmanager
    def _as_seen(self, asked: Asked) -> Iterator[None]:
        """Hold the session still, as the page that asks has seen it.

        Raises
        ------
        UsageError
            Where another window has changed the masks since.
        """
        with self.session.still():
            if asked.get("step", self.session.step_id) != self.session.step_id:
                raise UsageError(
                    "another window has changed the masks meanwhile.",
                    hint="They are shown now: look at them, and do it again.",
                )
            yield

    def _reader(self, asked: Asked) -> str:
        """The reader's name, without which nothing is changed: it goes into the record."""
        name = " ".join(str(asked.get("reader", "")).split())
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise UsageError("say who you are first: your name goes into the record.")
        self.session.reader = name
        return name

    def _after(self, box: Box | None) -> Json:
        state = self.session.state
        part = None if box is None else self.view.part(state.masks, box)
        return {"part": part, **self._stands()}

    def _stands(self) -> Json:
        """Where the correction stands, counted in voxels: the measured numbers follow."""
        with self.session.still():
            state, records = self.session.state, self.session.records
            step, undo, redo = self.session.step_id, self.session.undo_text, self.session.redo_text
        masks, grid = state.masks, self.view.grid
        complete = state.complete
        return {
            "step": step,
            "edits": len(records),
            "undo": undo,
            "redo": redo,
            "history": [{k: r[k] for k in ("what", "who", "when", "tumor_ml")} for r in records],
            "volumes": {n: float(masks.voxels[2 * n + 1]) * grid.voxel_ml for n in masks.numbers},
            "tumor_ml": masks.tumor_ml,
            "liver_ml": masks.liver_ml,
            "edited": sorted(state.edited),
            "deleted": [
                {
                    "number": n,
                    "ml": float(np.count_nonzero(p.old() == 2 * n + 1)) * grid.voxel_ml,
                    "place": [(s.start + s.stop) // 2 for s in self.view.box(p.box)],
                }
                for n, p in sorted(state.deleted.items())
            ],
            "complete": None if complete is None else {"who": complete.who, "when": complete.when},
            "suggested": free_name(self.session.base.folder, self.out),
        }

    def _presets(self) -> list[Json]:
        """Windows: name, level and width in image units."""
        volume, masks = self.session.base.volume, self.session.base.masks
        inside = volume.data[masks.window][masks.code[masks.window] > 0][::7].astype(np.float64)
        level = float(np.median(inside))
        spread = 1.4826 * float(np.median(np.abs(inside - level)))
        narrow = max(8.0 * spread, 1e-3)
        if volume.modality == "CT":
            return [
                _preset("Abdomen", 40.0, 400.0),
                _preset("Liver", level, max(narrow, 120.0)),
                _preset("Narrow", level, 80.0),
                _preset("Bone", 400.0, 1800.0),
            ]
        few = np.asarray(volume.data[::3, ::3, ::3], np.float64)
        low, high = (float(x) for x in np.percentile(few, (1.0, 99.5)))
        whole = _preset("Whole", (low + high) / 2.0, max(high - low, 1e-3))
        return [whole, _preset("Liver", level, narrow)]


def _preset(name: str, level: float, width: float) -> Json:
    return {"name": name, "level": float(f"{level:.4g}"), "width": float(f"{width:.4g}")}


def _scale(data: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Offset and step that bring an image of fractions to int16."""
    low, high = float(np.nanmin(data)), float(np.nanmax(data))
    return low, max((high - low) / 32000.0, 1e-12)
