"""The status page: how much waits where, who does not answer, the last studies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from burden import __version__
from burden.node.folders import STATES, Folders, State, read_note
from burden.node.room import Room
from burden.node.send import Sender

if TYPE_CHECKING:
    from jinja2 import Template

_SHOWN = 25
_MEANS: dict[State, str] = {
    "incoming": "images are still coming",
    "queued": "complete, waits for the model",
    "processing": "the model is at it",
    "sending": "results wait for an archive",
    "done": "finished; kept for a while",
    "failed": "given up; note.json in its folder says why",
}


def render(folders: Folders, room: Room, senders: Sequence[Sender], started: float) -> str:
    """The page as HTML. Studies appear under their folder's name, never under a patient's."""
    jobs = {state: folders.jobs(state) for state in STATES}
    notes = [(read_note(job), state, job.name) for state in STATES[1:] for job in jobs[state]]
    notes.sort(key=lambda one: -max(one[0].finished, one[0].received))
    return _template().render(
        version=__version__,
        up=_span(time.time() - started),
        used=room.used / 1e9,
        free=room.free() / 1e9,
        full=not room.enough(),
        counts=[(state, len(jobs[state]), _MEANS[state]) for state in STATES],
        targets=[(one.target.name, _HOW[one.target.kind], _when(one.down_since)) for one in senders],
        studies=[(name, state, note, _when(note.received)) for note, state, name in notes[:_SHOWN]],
    )


_HOW = {"dicom": "C-STORE", "stow": "STOW-RS"}


@cache
def _template() -> Template:
    from jinja2 import Environment

    text = Path(__file__).with_name("status.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds else ""


def _span(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
