"""pynetdicom's server with bounds: what a stranger sends is never read without end.

The library reads as many bytes as a length field says, waits for them without limit, and does
the TLS handshake in the thread that accepts connections. Here a PDU has a largest size and a
deadline, and a slow handshake holds up nobody else.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

_OTHER_PDUS = 2**18  # the largest association request with all its contexts is well below
_BLOCK = 2**16
_HANDSHAKE_S = 15.0


@dataclass(frozen=True)
class Bounds:
    """What the server asks before and while it reads."""

    allowed: Callable[[str], bool]  # by address
    told: Callable[[str], None]  # why a connection was closed
    most_pdu: int
    idle_s: float
    connections: int


class BoundedSocket(AssociationSocket):  # type: ignore[misc]
    """Reads with a largest size and a deadline."""

    bounds: Bounds

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly so many bytes, fewer if the connection ends; OSError beyond the bounds."""
        if nr_bytes > max(self.bounds.most_pdu, _OTHER_PDUS):
            self.bounds.told("pdu-too-large")
            raise OSError("a PDU beyond the limit")
        end = time.monotonic() + self.bounds.idle_s
        data = bytearray()
        while len(data) < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                self.bounds.told("pdu-too-slow")
                raise TimeoutError("a PDU took too long")
            self.socket.settimeout(left)
            block = self.socket.recv(min(nr_bytes - len(data), _BLOCK))
            if not block:
                break
            data += block
        if self.socket is not None:
            self.socket.settimeout(self.bounds.idle_s)  # for what is sent
        return data


class BoundedHandler(RequestHandler):  # type: ignore[misc]
    """Gives each association a bounded socket."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        # Not a new object: making one would announce the connection a second time.
        association.dul.socket.__class__ = BoundedSocket
        association.dul.socket.bounds = self.server.bounds
        return association


class BoundedServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Turns addresses away before a byte is read, and shakes hands in the connection's thread."""

    bounds: Bounds
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; encryption is set up but not yet negotiated."""
        client, address = self.socket.accept()
        client.settimeout(_HANDSHAKE_S)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether this address may connect at all, and there are not too many already."""
        if not self.bounds.allowed(str(client_address[0])):
            self.bounds.told("address-not-allowed")
            return False
        if len(self.active_associations) >= self.bounds.connections:
            self.bounds.told("too-many-connections")
            return False
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Negotiate encryption, then the association."""
        try:
            if self.ssl_context is not None:
                request.do_handshake()
            request.settimeout(self.bounds.idle_s)
            self.finish_request(request, client_address)
        except Exception:  # a client that speaks something else; the server goes on
            self.bounds.told("tls-failed" if self.ssl_context is not None else "connection-failed")
            self.shutdown_request(request)
