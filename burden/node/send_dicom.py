"""Send results by C-STORE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burden.node.send import RefusedError, UnreachableError
from burden.node.settings import Target
from burden.node.tls import client_context

_ACCEPTED = {0x0000, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007}  # success, and stored with a warning
_EXPLICIT, _DEFAULT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
_TIMEOUT_S = 60


def send_dicom(target: Target, files: Sequence[Path], calling: str) -> None:
    """Store every file in one association.

    Raises
    ------
    UnreachableError
        If there is no association, or it breaks.
    RefusedError
        If the archive takes one of the files not.
    """
    from pydicom import dcmread
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    if not files:
        return
    data = [dcmread(path) for path in files]
    kinds = sorted({(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in data})
    ae = AE(calling)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _TIMEOUT_S
    tls = (client_context(target.tls), target.host) if target.tls else None
    association = ae.associate(
        target.host,
        target.port,
        contexts=[build_context(sop_class, _syntaxes(syntax)) for sop_class, syntax in kinds],
        ae_title=target.ae_title,
        tls_args=tls,
    )
    if not association.is_established:
        why = "association rejected" if association.is_rejected else "no association"
        raise UnreachableError(why)
    try:
        # All of them, before any refusal: an archive that knows no SEG shall have the rest.
        refused = [why for one in data if (why := _store(association, one))]
    finally:
        if association.is_established:
            association.release()
    if refused:
        raise RefusedError("; ".join(dict.fromkeys(refused)))


def _syntaxes(syntax: str) -> list[str]:
    """What an object is offered in: everybody knows the default one of DICOM, some only that."""
    return [syntax, _DEFAULT] if syntax == _EXPLICIT else [syntax]


def _store(association: Any, data: Any) -> str:
    """Why an object was refused; "" where it was stored."""
    try:
        answer = association.send_c_store(data)
    except ValueError:  # no context for it was accepted
        return f"{data.SOPClassUID.name} is not accepted"
    except RuntimeError as error:
        raise UnreachableError("the association ended") from error
    if "Status" not in answer:
        raise UnreachableError("the connection broke")
    if int(answer.Status) in _ACCEPTED:
        return ""
    return f"{data.SOPClassUID.name}: status 0x{int(answer.Status):04X}"
