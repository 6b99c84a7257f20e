"""What a finished record, or a supposed value, must be before a command goes to work on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from burden.errors import InputError, UsageError


@contextmanager
def reading_records(*paths: Path | None) -> Iterator[None]:
    """A record that contradicts itself, where its schema cannot tell, is a damaged input.

    Such are a low above a high, or a word among numbers.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        where = " or ".join(str(path) for path in paths if path is not None)
        what = f"not a sound case.json ({error})."
        raise InputError(what, where=where, hint="Make it again with `burden run`.") from error


def whole_counts(supposed: Mapping[str, str]) -> None:
    """Refuse half a lesion; all else about a supposed value is checked where it is used.

    Raises
    ------
    UsageError
        If a count is to have a fraction.
    """
    from burden.vocabulary import vocabulary

    for fact_id, text in supposed.items():
        entry = vocabulary().find(fact_id)
        try:
            part = entry is not None and entry.whole and not float(text).is_integer()
        except (ValueError, OverflowError):
            continue
        if part:
            raise UsageError(f"`{text}` is no whole number.", where=fact_id, hint="It is a count.")
