"""The HTTP door: STOW-RS in, a status page, numbers for Prometheus."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import re
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web
from prometheus_client import generate_latest

from burden.errors import UsageError
from burden.node.intake import OUT_OF_RESOURCES, Intake, Taken
from burden.node.log import Log, Numbers
from burden.node.settings import Http, Limits, read_token
from burden.node.tls import server_context

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Door:
    """What the pages and STOW-RS need."""

    settings: Http
    limits: Limits
    intake: Intake
    log: Log
    numbers: Numbers
    page: Callable[[], str]
    alive: Callable[[], bool]


@dataclass
class Web:
    """A running server, with its own loop in its own thread."""

    port: int
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    runner: web.AppRunner

    def stop(self, within_s: float) -> None:
        """Requests that are open get a little time."""
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(within_s + 5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(within_s)


def start_web(door: Door) -> Web:
    """Listen.

    Raises
    ------
    UsageError
        If the address cannot be had.
    """
    context = server_context(door.settings.tls) if door.settings.tls else None
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="http-door", daemon=True)
    thread.start()
    try:
        runner, port = asyncio.run_coroutine_threadsafe(_listen(door, context), loop).result(30)
    except OSError as error:
        loop.call_soon_threadsafe(loop.stop)
        where = f"http: {door.settings.host}:{door.settings.port}"
        raise UsageError(f"cannot listen: {error.strerror}.", where=where) from error
    return Web(port, loop, thread, runner)


async def _listen(door: Door, context: ssl.SSLContext | None) -> tuple[web.AppRunner, int]:
    app = make_app(door)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, door.settings.host, door.settings.port, ssl_context=context)
    await site.start()
    return runner, int(runner.addresses[0][1])


def make_app(door: Door) -> web.Application:
    """Routes, with the guard before all of them."""
    places = asyncio.Semaphore(door.limits.associations)

    async def status(_request: web.Request) -> web.Response:
        text = await asyncio.to_thread(door.page)
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(door.numbers.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def health(_request: web.Request) -> web.Response:
        ok = door.alive()
        return web.Response(text="ok\n" if ok else "stuck\n", status=200 if ok else 503)

    async def stow(request: web.Request) -> web.StreamResponse:
        if places.locked():
            return _busy()
        async with places:
            return await _stow(door, request)

    app = web.Application(middlewares=[_guard(door)])
    app.add_routes([
        web.get("/", status),
        web.get("/metrics", metrics),
        web.get("/healthz", health),
        web.post("/dicom-web/studies", stow),
        web.post("/dicom-web/studies/{study}", stow),
    ])  # fmt: skip
    return app


def _guard(door: Door) -> Any:
    token = read_token(door.settings.token_file) if door.settings.token_file else ""
    networks = door.settings.networks

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        address = ip_address((request.remote or "0.0.0.0").partition("%")[0])  # noqa: S104 - nobody
        if not any(address in one for one in networks):
            door.log("warning", "http-refused", {"why": "address-not-allowed"})
            raise web.HTTPForbidden
        if not token and not _by_address(request.host):
            door.log("warning", "http-refused", {"why": "by-another-name"})
            raise web.HTTPForbidden
        if token and request.path != "/healthz" and not _knows(request, token):
            door.log("warning", "http-refused", {"why": "no-token", "address": str(address)})
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="burden node"'})
        return await handler(request)

    return guard


def _by_address(host: str) -> bool:
    """Whether a Host header is an address or ``localhost``.

    A page of another site can have its own name lead here, and would then pass as one of ours.
    """
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return name == "localhost" or bool(ip_address(name.strip("[]")))
    except ValueError:
        return False


def _knows(request: web.Request, token: str) -> bool:
    """Bearer token, or the token as the password of any user: a browser can only do the latter."""
    kind, _, rest = request.headers.get("Authorization", "").partition(" ")
    given = rest.strip()
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.encode(), token.encode())


async def _stow(door: Door, request: web.Request) -> web.StreamResponse:
    """Store the parts one by one as they come; never more than one of them is in memory."""
    if not request.content_type == "multipart/related":
        raise web.HTTPUnsupportedMediaType(text="multipart/related is needed\n")
    if not door.intake.room.enough():
        door.numbers.refused.labels("stow", "no-room").inc()
        return _busy()
    study = request.match_info.get("study", "")
    taken: list[Taken] = []
    try:
        reader: MultipartReader = await request.multipart()
        while (part := await asyncio.wait_for(reader.next(), door.limits.idle_s)) is not None:
            if not isinstance(part, BodyPartReader):
                raise ValueError("a multipart within a multipart")
            data = await _read(part, door)
            one = await asyncio.to_thread(_take, door, data, study)
            taken.append(one)
            if one.why == "too-large":
                break  # what is left of it cannot be skipped without reading it
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (ValueError, AssertionError, RuntimeError):
        raise web.HTTPBadRequest(text="not a multipart/related body\n") from None
    return _answer(taken)


async def _read(part: BodyPartReader, door: Door) -> bytes:
    """A part, or a little more than may be of it."""
    data = bytearray()
    while len(data) <= door.intake.most_bytes:
        block = await asyncio.wait_for(part.read_chunk(2**16), door.limits.idle_s)
        if not block:
            break
        data += block
    return bytes(data)


def _take(door: Door, data: bytes, study: str) -> Taken:
    taken = door.intake.take(data, study_uid=study)
    if taken.key:
        door.numbers.received.labels("stow").inc()
    else:
        door.numbers.refused.labels("stow", taken.why).inc()
        status = f"0x{taken.status:04X}"
        door.log("warning", "image-refused", {"why": taken.why, "status": status})
    return taken


def _answer(taken: list[Taken]) -> web.Response:
    """The store response of PS3.18 10.5.3: what was stored, what not and why."""
    stored = [_item(one) for one in taken if one.status == 0]
    failed = [_item(one) | _us("00081197", one.status) for one in taken if one.status != 0]
    body: dict[str, Any] = {}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": stored}
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": failed}
    status = 200 if not failed and stored else 202 if stored else 409
    if failed and not stored and all(one.status == OUT_OF_RESOURCES for one in taken):
        status = 413 if any(one.why == "too-large" for one in taken) else 503
    # By hand: clients exist that do not know the type with a charset behind it.
    headers = {"Content-Type": "application/dicom+json"}
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers)


def _item(one: Taken) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class]} if one.sop_class else {"vr": "UI"},
        "00081155": {"vr": "UI", "Value": [one.sop_uid]} if one.sop_uid else {"vr": "UI"},
    }


def _us(tag: str, value: int) -> dict[str, Any]:
    return {tag: {"vr": "US", "Value": [value]}}


def _busy() -> web.Response:
    return web.Response(status=503, text="no room just now\n", headers={"Retry-After": "60"})
