"""Keyed pseudonyms: the same identifier gives the same pseudonym wherever one key is used.

They are HMAC-SHA-256 values, so nobody without the key can find an identifier by trying.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_MOST_DAYS = 3650
# Roots of the UID tree, then at least three parts: no version number or address looks so.
_UID = re.compile(r"(?<![\w.])[012](?:\.(?:0|[1-9]\d*)){4,}(?![\w.]*\d)")


@dataclass(frozen=True)
class Pseudonyms:
    """What stands for the identifiers of one patient.

    Parameters
    ----------
    key
        Secret bytes of the site.
    patient
        What tells this patient from others, e.g. PatientID and its issuer; never written.
    """

    key: bytes = field(repr=False)
    patient: str = field(default="", repr=False)

    def uid(self, uid: str) -> str:
        """The UID that stands for ``uid``; "" for none."""
        return f"2.25.{int(self._mac('uid', uid)[:32], 16)}" if uid else ""

    def code(self, kind: str, text: str) -> str:
        """64 hexadecimal digits that stand for ``text``."""
        return self._mac(kind, text)

    @property
    def name(self) -> str:
        """What stands for the patient's name and number, e.g. ``PSEUDO-3F1C09B2AE``."""
        return f"PSEUDO-{self._mac('patient', self.patient)[:10].upper()}"

    def shifted(self, date: str) -> str:
        """``YYYYMMDD`` moved by this patient's days, so that intervals stay; "" if it is no date."""
        try:
            return f"{datetime.strptime(date, '%Y%m%d') - self._shift:%Y%m%d}"
        except (ValueError, OverflowError):
            return ""

    def moved(self, moment: str) -> str:
        """An ISO moment moved by the same days, its time of day removed; "" if it is none."""
        try:
            return f"{datetime.fromisoformat(moment) - self._shift:%Y-%m-%dT00:00:00+00:00}"
        except (ValueError, OverflowError):
            return ""

    def in_text(self, text: str) -> str:
        """Text with every UID in it replaced."""
        return _UID.sub(lambda found: self.uid(found[0]), text)

    @property
    def _shift(self) -> timedelta:
        return timedelta(days=1 + int(self._mac("days", self.patient)[:12], 16) % _MOST_DAYS)

    def _mac(self, kind: str, text: str) -> str:
        return hmac.new(self.key, f"{kind}/{text}".encode(), hashlib.sha256).hexdigest()
