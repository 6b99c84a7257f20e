"""A small web server for one reader on this machine.

It listens on 127.0.0.1 alone. Every address begins with a random token; requests that were sent to
another host name (DNS rebinding) or come from another page are refused; the pages may load nothing
but themselves. The only files given out are the ones named in :data:`PAGES`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from burden.errors import BurdenError
from burden.review.answers import Answers

PAGES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "main.js": ("main.js", "text/javascript; charset=utf-8"),
    "volume.js": ("volume.js", "text/javascript; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "tools.js": ("tools.js", "text/javascript; charset=utf-8"),
    "panels.js": ("panels.js", "text/javascript; charset=utf-8"),
}
"""Address below the token -> file of ``page/`` and its type."""
LARGEST_REQUEST = 2**20
IDLE_S = 60.0
_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
    "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Serves one session until it is shut down."""

    daemon_threads = True

    def __init__(self, answers: Answers, port: int = 0, token: str | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers = answers
        self.token = token or secrets.token_urlsafe(24)
        self.asked: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "do": answers.do,
            "undo": answers.undo,
            "redo": answers.redo,
            "preview": answers.preview,
            "save": answers.save,
            "case": answers.case,
            "stands": answers.stands,
            "conclusion": answers.conclusion,
        }

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no news."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "burden", ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """A page, or slices of the image."""
        name = self._admitted()
        if name is None:
            return
        if name in PAGES:
            file, kind = PAGES[name]
            self._send(HTTPStatus.OK, (Path(__file__).parent / "page" / file).read_bytes(), kind)
        elif name == "image":
            query = parse_qs(urlsplit(self.path).query)
            try:
                first, last = int(query["from"][0]), int(query["to"][0])
            except (KeyError, ValueError):
                return self._refuse(HTTPStatus.BAD_REQUEST)
            self._send(HTTPStatus.OK, self.server.answers.image(first, last), "application/octet-stream")
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """A question or an edit, as JSON."""
        name = self._admitted()
        if name is None:
            return
        asked = self._body()
        if asked is None:
            return
        if name not in self.server.asked:
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            answer, status = self.server.asked[name](asked), HTTPStatus.OK
        except BurdenError as error:
            answer, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        except Exception as error:  # the page must hear of a bug, or it would wait for ever
            told = f"this is a bug: {type(error).__name__}: {error}"
            answer, status = {"error": told}, HTTPStatus.INTERNAL_SERVER_ERROR
        self._send(status, json.dumps(answer, allow_nan=False).encode(), "application/json")

    def _admitted(self) -> str | None:
        """The name asked for below the token; None where the request was refused."""
        hosts = {f"{h}:{self.server.server_port}" for h in ("127.0.0.1", "localhost")}
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        alien = self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
        if host not in hosts or alien or origin not in {None, *(f"http://{h}" for h in hosts)}:
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        _, _, rest = urlsplit(self.path).path.partition("/")
        token, slash, name = rest.partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        return name

    def _body(self) -> dict[str, Any] | None:
        """The JSON that was sent; None where the request was refused."""
        kind, length = self.headers.get("Content-Type", ""), self.headers.get("Content-Length", "")
        if kind.split(";")[0].strip() != "application/json":
            wrong = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        elif not length.isascii() or not length.isdigit():
            wrong = HTTPStatus.LENGTH_REQUIRED
        elif int(length) > LARGEST_REQUEST:
            wrong = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else:
            with contextlib.suppress(ValueError, RecursionError):
                asked = json.loads(self.rfile.read(int(length)))
                if isinstance(asked, dict):
                    return asked
            wrong = HTTPStatus.BAD_REQUEST
        self._refuse(wrong)
        return None

    def _refuse(self, status: HTTPStatus) -> None:
        """Say no more than the status; what was sent may not have been read, so hang up."""
        self.close_connection = True
        self._send(status, b"", "text/plain")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses hold the token."""
