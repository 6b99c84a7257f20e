"""The DICOM door: C-ECHO and C-STORE. An image is on the disk before it is answered."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pynetdicom import AE, evt

from burden.errors import UsageError
from burden.node.intake import CANNOT_UNDERSTAND, IMAGES, SYNTAXES, Intake
from burden.node.log import Log, Numbers
from burden.node.settings import Dicom, Limits
from burden.node.sockets import BoundedHandler, BoundedServer, Bounds
from burden.node.tls import server_context

VERIFICATION = "1.2.840.10008.1.1"
Rejection = tuple[int, int, int]  # result, source, diagnostic: PS3.8 Table 9-21
WHO_CALLS: Rejection = (1, 1, 3)
WHO_IS_CALLED: Rejection = (1, 1, 7)
TOO_MANY: Rejection = (2, 3, 2)


@dataclass(frozen=True)
class Scp:
    """A running server."""

    server: Any

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self.server.server_address[1])

    def stop(self, within_s: float) -> None:
        """No new associations; those that are open get a little time, then are aborted."""
        with suppress(OSError, ValueError):
            self.server.shutdown()
        for association in self.server.active_associations:
            association.join(within_s)
            if association.is_alive():
                association.abort()


def start_scp(settings: Dicom, limits: Limits, intake: Intake, log: Log, numbers: Numbers) -> Scp:
    """Listen.

    Raises
    ------
    UsageError
        If the address cannot be had.
    """
    ae = AE(settings.ae_title)
    ae.maximum_pdu_size = limits.pdu_kb * 1024
    ae.maximum_associations = 10**6  # counted exactly in _Doorkeeper
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = limits.idle_s
    ae.add_supported_context(VERIFICATION)
    for sop_class in accepted_classes(settings):
        ae.add_supported_context(sop_class, list(SYNTAXES))
    keeper = _Doorkeeper(settings, limits, intake, log, numbers)
    context = server_context(settings.tls) if settings.tls else None
    try:
        server = ae.make_server(
            (settings.host, settings.port),
            ssl_context=context,
            evt_handlers=keeper.handlers(),
            server_class=BoundedServer,
            request_handler=BoundedHandler,
        )
    except OSError as error:
        where = f"dicom: {settings.host}:{settings.port}"
        raise UsageError(f"cannot listen: {error.strerror}.", where=where) from error
    server.bounds = Bounds(
        keeper.knows_address,
        keeper.closed,
        limits.pdu_kb * 1024 + 1024,
        limits.idle_s,
        4 * limits.associations,
    )
    ae._servers.append(server)
    threading.Thread(target=server.serve_forever, args=(0.2,), name="dicom-door", daemon=True).start()
    return Scp(server)


def accepted_classes(settings: Dicom) -> tuple[str, ...]:
    """SOP classes that an association may be about."""
    if settings.accept == "images":
        return tuple(IMAGES)
    from pynetdicom import AllStoragePresentationContexts

    return tuple(str(one.abstract_syntax) for one in AllStoragePresentationContexts)


class _Doorkeeper:
    """Who may come in, how many at once, and how much each may bring."""

    def __init__(
        self, settings: Dicom, limits: Limits, intake: Intake, log: Log, numbers: Numbers
    ) -> None:
        self._settings, self._limits, self._intake = settings, limits, intake
        self._log, self._numbers = log, numbers
        self._networks = [(peer.ae_title.strip(), peer.network) for peer in settings.peers]
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self._bytes: dict[Any, int] = {}  # of the message each association is sending

    def handlers(self) -> list[tuple[Any, Any]]:
        return [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_PDU_RECV, self._pdu),
            (evt.EVT_CONN_CLOSE, self._gone),
        ]

    def knows_address(self, address: str) -> bool:
        """Whether anybody may come from there."""
        return any(ip_address(address.partition("%")[0]) in net for _, net in self._networks)

    def closed(self, why: str) -> None:
        """A connection was closed before there was an association."""
        self._numbers.associations.labels(why).inc()
        self._log("warning", "connection-closed", {"why": why})

    def judge(self, calling: str, called: str, address: str) -> Rejection | None:
        """The rejection that a request gets; None: it is accepted."""
        here = ip_address(address.partition("%")[0])
        if not any(title == calling and here in net for title, net in self._networks):
            return WHO_CALLS
        if called != self._settings.ae_title.strip():
            return WHO_IS_CALLED
        return None

    def _requested(self, event: Any) -> None:
        association = event.assoc
        asked = association.requestor.primitive
        address = str(association.requestor.address_info.address)
        calling = asked.calling_ae_title.strip()
        rejection = self.judge(calling, asked.called_ae_title.strip(), address)
        with self._lock:
            self._open = {one for one in self._open if one.is_alive()}
            if rejection is None and len(self._open) >= self._limits.associations:
                rejection = TOO_MANY
            if rejection is None:
                self._open.add(association)
        if rejection is None:
            self._numbers.associations.labels("accepted").inc()
            return
        why = {WHO_CALLS: "caller-unknown", WHO_IS_CALLED: "called-unknown"}.get(rejection, "too-many")
        self._numbers.associations.labels(why).inc()
        self._log("warning", "association-rejected", {"why": why, "address": address})
        association.acse.send_reject(*rejection)
        association.kill()

    def _echo(self, _event: Any) -> int:
        return 0

    def _store(self, event: Any) -> int:
        request = event.request
        try:
            data = event.encoded_dataset()
            asked = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        except Exception:
            self._numbers.refused.labels("dicom", "unreadable").inc()
            return CANNOT_UNDERSTAND
        taken = self._intake.take(data, *asked)
        if taken.key:
            self._numbers.received.labels("dicom").inc()
        else:
            self._numbers.refused.labels("dicom", taken.why).inc()
            status = f"0x{taken.status:04X}"
            self._log("warning", "image-refused", {"why": taken.why, "status": status})
        return taken.status

    def _pdu(self, event: Any) -> None:
        """Stop a message that is larger than any image may be, while it is still coming."""
        for item in getattr(event.pdu, "presentation_data_value_items", ()):
            value = item.presentation_data_value
            last = bool(value and value[0] & 2)
            size = 0 if last else self._bytes.get(event.assoc, 0) + len(value)
            self._bytes[event.assoc] = size
            if size > self._limits.instance_mb * 1e6:
                self._bytes.pop(event.assoc, None)
                self._numbers.refused.labels("dicom", "too-large").inc()
                self._log("warning", "image-refused", {"why": "too-large", "status": "abort"})
                event.assoc.abort()
                return

    def _gone(self, event: Any) -> None:
        self._bytes.pop(event.assoc, None)
        with self._lock:
            self._open.discard(event.assoc)
