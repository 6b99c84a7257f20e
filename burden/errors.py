"""Every deliberate exception, with the exit code the command line gives it.

::

    BurdenError                 1  (never raised itself)
    ├── UsageError              2  the command line asks for something impossible
    ├── InputError              3  the study cannot be used
    │   ├── NotAnImageError     3  no readable image where one was expected
    │   ├── GeometryError       3  positions, spacing or orientation do not form one volume
    │   └── NotALiverError      3  an image, but not one with a liver that can be measured
    ├── ModelError              4  the segmentation model is missing, damaged or unsuitable
    ├── RuleError               5  a rule book or a facts file is invalid
    ├── OutputError             6  results cannot be written
    └── PartialBatchError       7  the batch ended, but some cases failed

A message says what is wrong, where, and what to do; ``str(error)`` is the one
line a user sees. Anything else that escapes is a bug (exit code 1).
"""

from __future__ import annotations


class BurdenError(Exception):
    """Base of all deliberate errors.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The file, field or position concerned.
    hint
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        text = what if where is None else f"{where}: {what}"
        super().__init__(text if hint is None else f"{text} {hint}")


class UsageError(BurdenError):
    """The command line asks for something impossible."""

    exit_code = 2


class InputError(BurdenError):
    """The study cannot be used."""

    exit_code = 3


class NotAnImageError(InputError):
    """No readable image where one was expected."""


class GeometryError(InputError):
    """Positions, spacing or orientation do not form one volume."""


class NotALiverError(InputError):
    """An image, but not one with a liver that can be measured."""


class ModelError(BurdenError):
    """The segmentation model is missing, damaged or unsuitable."""

    exit_code = 4


class RuleError(BurdenError):
    """A rule book or a facts file is invalid."""

    exit_code = 5


class OutputError(BurdenError):
    """Results cannot be written."""

    exit_code = 6


class PartialBatchError(BurdenError):
    """The batch ended, but some cases failed."""

    exit_code = 7
