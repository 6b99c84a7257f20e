"""TLS contexts: at least 1.2, and the other side is always checked."""

from __future__ import annotations

import ssl

from burden.errors import UsageError
from burden.node.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """For a door: a client without a certificate of ours is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a way out: the other side must be who its certificate says."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _loaded(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "certificate, key and ca do not load.",
            where=tls.certificate,
            hint="They must be PEM files, and the key must belong to the certificate.",
        ) from error
    return context
