"""TLS with client certificates at both doors and on both ways out; certificates made by openssl."""

from __future__ import annotations

import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .kit import as_bytes, c_store, multipart, tiny_study, until


@dataclass(frozen=True)
class Papers:
    """Two authorities, and somebody certified by each."""

    folder: Path

    def of(self, who: str, ca: str = "ours") -> dict[str, str]:
        files = {"certificate": f"{who}.pem", "key": f"{who}.key", "ca": f"{ca}.pem"}
        return {k: str(self.folder / v) for k, v in files.items()}

    def context(self, who: str) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(self.folder / "ours.pem"))
        if who:
            made.load_cert_chain(self.folder / f"{who}.pem", self.folder / f"{who}.key")
        return made


@pytest.fixture(scope="module")
def papers(program: Any, tmp_path_factory: pytest.TempPathFactory) -> Papers:
    openssl = program("openssl")
    folder = tmp_path_factory.mktemp("papers")

    def run(*args: str) -> None:
        subprocess.run([openssl, *args], cwd=folder, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca in ("ours", "theirs"):
        run("req", "-x509", *new_key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}",
            "-days", "2")  # fmt: skip
    for who, ca in (("node", "ours"), ("client", "ours"), ("stranger", "theirs")):
        run("req", *new_key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run("x509", "-req", "-in", f"{who}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-out",
            f"{who}.pem", "-days", "2", "-CAcreateserial", "-extfile", "names")  # fmt: skip
    return Papers(folder)


def test_dicom_door_wants_a_client_certificate(make_node: Any, papers: Papers) -> None:
    node = make_node(dicom={"tls": papers.of("node")})
    study, port = tiny_study("tls", 2), node.ports["dicom"]
    assert c_store(port, study, tls_args=(papers.context("client"), "127.0.0.1")) == [0, 0]
    for who in ("", "stranger"):
        with pytest.raises(ConnectionError):
            c_store(port, study, tls_args=(papers.context(who), "127.0.0.1"))
    with pytest.raises(ConnectionError):
        c_store(port, study)  # no TLS at all
    until(lambda: node.metric('burden_node_associations_total{outcome="tls-failed"}') == 3)
    # A client that never shakes hands holds up nobody.
    import socket

    with socket.create_connection(("127.0.0.1", port)):
        fourth = tiny_study("second", 1)
        assert c_store(port, fourth, tls_args=(papers.context("client"), "127.0.0.1")) == [0]
    node.done(2)


def test_old_tls_is_turned_away(make_node: Any, papers: Papers, program: Any) -> None:
    node = make_node(dicom={"tls": papers.of("node")})
    for option, good in (("-tls1_2", True), ("-tls1_1", False)):
        client = ["-cert", "client.pem", "-key", "client.key", "-CAfile", "ours.pem", "-cipher",
                  "ALL:@SECLEVEL=0"]  # fmt: skip
        command = [
            program("openssl"),
            "s_client",
            "-connect",
            f"127.0.0.1:{node.ports['dicom']}",
            option,
        ]
        done = subprocess.run(
            [*command, *client], cwd=papers.folder, input=b"", capture_output=True, timeout=60
        )
        assert (
            b"Verify return code: 0" in done.stdout and b"Cipher is (NONE)" not in done.stdout
        ) is good


def test_http_door_wants_a_client_certificate(make_node: Any, papers: Papers) -> None:
    node = make_node(http={"tls": papers.of("node")})
    url = f"https://127.0.0.1:{node.ports['http']}"
    with urllib.request.urlopen(f"{url}/", context=papers.context("client")) as answer:  # noqa: S310
        assert b"burden node" in answer.read()
    for who in ("", "stranger"):
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(f"{url}/", context=papers.context(who)).read()  # noqa: S310


@pytest.mark.parametrize("ca", ["ours", "theirs"])
def test_node_sends_to_a_node_over_tls(make_node: Any, papers: Papers, ca: str) -> None:
    """C-STORE and STOW out, each to another node's door; an archive signed by others gets nothing."""
    job = {"command": ["/bin/sh", "-c", "mkdir -p {out}/dicom && cp {images}/* {out}/dicom"]}
    stow = make_node(http={"tls": papers.of("node")})
    store = make_node(dicom={"tls": papers.of("node"),
                             "peers": [{"ae_title": "BURDEN", "address": "127.0.0.1"}]})  # fmt: skip
    tls = papers.of("client", ca)
    targets = [
        {"name": "web", "kind": "stow", "url": f"https://127.0.0.1:{stow.ports['http']}/dicom-web"},
        {"name": "pacs", "kind": "dicom", "host": "127.0.0.1", "port": store.ports["dicom"],
         "ae_title": "BURDEN"},
    ]  # fmt: skip
    node = make_node(job=job, send=[one | {"tls": tls} for one in targets])
    assert c_store(node.ports["dicom"], tiny_study("out", 2)) == [0, 0]
    if ca == "theirs":
        until(lambda: {e["to"] for e in node.events("unreachable")} == {"web", "pacs"})
        assert node.counts() == {"sending": 1}
        assert stow.counts() == store.counts() == {}
        return
    node.done()
    stow.done()
    store.done()


def test_papers_that_do_not_load_are_named(make_node: Any, papers: Papers) -> None:
    wrong = papers.of("node") | {"key": papers.of("client")["key"]}
    node = make_node(start=False, http={"tls": wrong})
    node.start(wait=False)
    assert node.process.wait(60) == 2
    until(lambda: node.raw)
    assert "do not load" in node.raw[-1]


def test_stow_into_a_node_with_a_token_over_tls(make_node: Any, papers: Papers, tmp_path: Path) -> None:
    """`send` of one node to another one that wants a token."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    job = {"command": ["/bin/sh", "-c", "mkdir -p {out}/dicom && cp {images}/* {out}/dicom"]}
    other = make_node(http={"tls": papers.of("node"), "token_file": str(token)})
    target = {"name": "web", "kind": "stow", "tls": papers.of("client"), "token_file": str(token),
              "url": f"https://127.0.0.1:{other.ports['http']}/dicom-web"}  # fmt: skip
    node = make_node(job=job, send=[target])
    body, kind = multipart([as_bytes(tiny_study("token", 1)[0])])
    assert node.http("/dicom-web/studies", body, Content_Type=kind)[0] == 200
    node.done()
    other.done()
