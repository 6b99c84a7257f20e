"""Where the files shipped beside the code are: ``configs/`` and ``models/``."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(*parts: str) -> Path:
    """Path of a shipped file or folder, e.g. ``shipped("configs", "facts.yaml")``.

    An installed wheel carries the folders inside the package; a checkout has them beside it.
    """
    inside = _PACKAGE / "_shipped" / parts[0]
    root = inside.parent if inside.exists() else _PACKAGE.parent
    return root.joinpath(*parts)
