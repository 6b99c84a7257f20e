"""The server: one reader on this machine, and nobody else."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burden.review.answers import Answers
from burden.review.server import PAGES, Server
from burden.review.session import Session


@pytest.fixture(scope="module")
def server(given: Any) -> Iterator[Server]:
    session = Session(given.open(), "A. Reader")
    made = Server(Answers(session))
    work = threading.Thread(target=session.work, daemon=True)
    serve = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    work.start()
    serve.start()
    yield made
    session.close()
    made.shutdown()
    made.server_close()
    work.join(60)
    serve.join(60)


def asked(
    server: Server, method: str, path: str, body: bytes = b"", token: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; ``path`` is below the token unless it begins with a slash."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    given = {"Host": f"127.0.0.1:{server.server_port}"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    if method == "POST" and "Content-Type" not in given:
        given["Content-Type"] = "application/json"
    full = path if path.startswith("/") else f"/{server.token if token is None else token}/{path}"
    line.putrequest(method, full, skip_host=True, skip_accept_encoding=True)
    for name, value in given.items():
        line.putheader(name, value)
    if method == "POST" and "Content-Length" not in given:
        line.putheader("Content-Length", str(len(body)))
    line.endheaders(body or None)
    answer = line.getresponse()
    told = answer.read()
    line.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, told


def test_listens_on_this_machine_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_come_with_every_guard(name: str, server: Server) -> None:
    status, headers, body = asked(server, "GET", name)
    assert status == 200
    assert len(body) > 500
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert "access-control-allow-origin" not in headers
    assert b"http://" not in body.replace(b"http://www.w3.org", b"")
    assert b"https://" not in body


@pytest.mark.parametrize("token", ["", "x", "A" * 32, "..", "%2e%2e"])
def test_nothing_without_the_token(token: str, server: Server) -> None:
    for method, name in (("GET", ""), ("GET", "image?from=0&to=1"), ("POST", "case"), ("POST", "undo")):
        status, _, body = asked(server, method, name, b"{}", token=token)
        assert (status, body) == (404, b"")
    assert asked(server, "GET", "/")[0] == 404
    assert asked(server, "GET", f"/{server.token[:-1]}/")[0] == 404
    assert asked(server, "GET", f"/{server.token}")[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_other_host_names_are_refused(host: str, server: Server) -> None:
    """A name that an attacker points at 127.0.0.1 reaches the port, but not the page."""
    status, _, body = asked(server, "GET", "", Host=host.format(port=server.server_port))
    assert (status, body) == (403, b"")
    status, _, body = asked(server, "POST", "case", b"{}", Host=host.format(port=server.server_port))
    assert (status, body) == (403, b"")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_pages_are_refused(headers: dict[str, str], server: Server) -> None:
    assert asked(server, "POST", "undo", b"{}", **headers)[0] == 403
    assert asked(server, "GET", "image?from=0&to=1", **headers)[0] == 403
    own = {"Origin": f"http://127.0.0.1:{server.server_port}", "Sec_Fetch_Site": "same-origin"}
    assert asked(server, "POST", "case", b"{}", **own)[0] == 200


def test_forms_of_other_pages_cannot_post(server: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert asked(server, "POST", "undo", b"{}", Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    "name",
    ["../server.py", "..%2fserver.py", "page.css/../../server.py", "/etc/passwd", "page/index.html",
     "main.js%00", "....//server.py", "index.html", "PAGE.CSS", "main.js/"],
)  # fmt: skip
def test_no_path_leads_anywhere_else(name: str, server: Server) -> None:
    status, _, body = asked(server, "GET", f"/{server.token}/{name}")
    assert (status, body) == (404, b"")


def test_what_is_no_question_is_refused(server: Server) -> None:
    assert asked(server, "POST", "case", b"{")[0] == 400
    assert asked(server, "POST", "case", b"[1]")[0] == 400
    assert asked(server, "POST", "case", b"[" * 100_000)[0] == 400
    assert asked(server, "POST", "case", b"{}", Content_Length="-5")[0] == 411
    assert asked(server, "POST", "case", b"", Content_Length="99999999999")[0] == 413
    assert asked(server, "POST", "nothing", b"{}")[0] == 404
    assert asked(server, "GET", "case")[0] == 404
    assert asked(server, "GET", "image?from=a&to=b")[0] == 400
    assert asked(server, "GET", "image")[0] == 400
    assert asked(server, "PUT", "case", b"{}")[0] == 501


def test_errors_are_told_as_one_sentence(server: Server) -> None:
    status, _, body = asked(
        server, "POST", "do", json.dumps({"action": "delete", "lesion": 77}).encode()
    )
    assert status == 400
    assert "say who you are" in json.loads(body)["error"]
    asked_for = {"action": "delete", "lesion": 77, "reader": "A. Reader"}
    status, _, body = asked(server, "POST", "do", json.dumps(asked_for).encode())
    assert status == 400
    assert json.loads(body) == {"error": "there is no lesion 77."}
    status, _, body = asked(server, "POST", "save", json.dumps({"reader": "A", "name": "../x"}).encode())
    assert status == 400
    assert "name of a folder" in json.loads(body)["error"]


def test_a_window_that_was_left_behind_changes_nothing_and_is_told(server: Server) -> None:
    def post(what: str, **more: Any) -> tuple[int, Any]:
        status, _, body = asked(server, "POST", what, json.dumps({"reader": "A"} | more).encode())
        return status, json.loads(body)

    _, start = post("case")
    assert post("stands", step=start["step"])[1] == {"step": start["step"]}
    status, first = post("do", action="delete", lesion=1, step=start["step"])
    assert status == 200
    for late in (("do", {"action": "delete", "lesion": 2}), ("undo", {}), ("save", {"name": "late"})):
        status, told = post(late[0], step=start["step"], **late[1])
        assert status == 400
        assert "another window" in told["error"]
    told = post("stands", step=start["step"])[1]
    assert told["step"] == first["step"]
    assert set(told["volumes"]) == {"2", "3"}
    assert 3 not in told["part"]["runs"][0::2], "the outlines come along"
    assert post("undo", step=first["step"])[1]["volumes"] == start["volumes"]


def test_the_image_and_masks_arrive_as_they_are(server: Server, given: Any) -> None:
    told = json.loads(asked(server, "POST", "case", b"{}")[2])
    nx, ny, nz = told["shape"]
    data = asked(server, "GET", f"image?from=0&to={nz}")[2]
    image = np.frombuffer(data, "<i2").reshape(nz, ny, nx).transpose(2, 1, 0)
    base = server.answers.session.base
    view = server.answers.view
    assert np.array_equal(image, view.turned(base.volume.data))
    part = told["part"]
    codes = (
        np.repeat(part["runs"][0::2], part["runs"][1::2]).reshape(part["size"][::-1]).transpose(2, 1, 0)
    )
    whole = np.zeros(told["shape"], np.uint16)
    whole[tuple(slice(a, a + n) for a, n in zip(part["start"], part["size"], strict=True))] = codes
    assert np.array_equal(whole, view.turned(base.masks.code))
    centre = view.grid.world(np.argwhere(whole == 3).mean(0))
    row = next(r for r in base.case.lesions if r.id == 1)
    assert np.linalg.norm(centre - row.centroid_mm) < 1.0


def test_a_conclusion_is_waited_for(server: Server) -> None:
    told = json.loads(asked(server, "POST", "conclusion", b'{"of": 0}')[2])
    while told.get("waiting"):
        told = json.loads(asked(server, "POST", "conclusion", b'{"of": 0}')[2])
    burden = next(f for f in told["figures"] if f["id"] == "tumor.burden")
    assert burden["text"].replace("\u00a0", " ").endswith(" %")
    assert len(told["verdicts"]) > 20
    assert {row["number"] for row in told["lesions"]} == {1, 2, 3}


def test_the_page_files_are_all_there_and_no_others() -> None:
    import burden.review

    folder = Path(burden.review.__file__).parent / "page"
    assert {p.name for p in folder.iterdir()} == {name for name, _ in PAGES.values()}
