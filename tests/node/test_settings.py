"""node.yaml is read strictly: every complaint names the line, and the template is sound."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from burden.errors import UsageError
from burden.node.read import read_settings, template
from burden.node.settings import Settings

BURDEN = str(Path(sys.executable).with_name("burden"))


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "node.yaml"
    path.write_text(text)
    return read_settings(path)


def test_template_is_sound_and_says_the_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, template())
    assert settings.folder == tmp_path / "node-data"
    assert settings.dicom is not None
    assert settings.http is not None
    assert settings.dicom.host == settings.http.host == "127.0.0.1"
    groups = ["dicom", "http", "complete", "job", "retry", "keep", "limits"]
    for group in groups:
        (section,) = re.findall(rf"^(?:# )?{group}:.*?(?=\n\n|\Z)", template(), re.M | re.S)
        for one in fields(getattr(settings, group)):
            assert re.search(rf"\b{one.name}:", section), f"{group}.{one.name} is not in the template"
            if isinstance(one.default, int | float | str):
                value = yaml.safe_dump(one.default).split("\n")[0].removesuffix(".0")
                assert re.search(rf"\b{one.name}: {re.escape(value)}(?![\w.])", section), one.name
    assert not [f.name for f in fields(Settings) if f"{f.name}:" not in template()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("folder: [", "not valid YAML"),
        ("folder: x\nfolder: y", "yaml:2: folder is set twice"),
        ("folder: x\ndicom: {}\nhtpp: {}", "yaml:3: no such setting: htpp. Did you mean http?"),
        ("folder: x\ndicom:\n  prot: 3", "yaml:3: no such setting: dicom.prot. Did you mean port?"),
        ("dicom: {}", "yaml:1: folder is missing"),
        ("folder: 3", "folder must be a text"),
        ("folder: x\ndicom: {port: many}", "yaml:2: dicom.port must be a whole number"),
        ("folder: x\ndicom: {port: -1}", "dicom.port must be a whole number"),
        ("folder: x\ndicom: {port: true}", "dicom.port must be a whole number"),
        ("folder: x\ndicom: {port: 99999}", "ports go to 65535"),
        ("folder: x\ndicom: {port: 1.5}", "dicom.port must be a whole number"),
        ("folder: x\ncomplete: {quiet_s: .inf}", "complete.quiet_s must be a number"),
        ("folder: x\ncomplete: {quiet_s: .nan}", "complete.quiet_s must be a number"),
        ("folder: x\njob: {strict: maybe}", "job.strict must be true or false"),
        ("folder: x\njob: {command: rm}", "job.command must be a list"),
        ("folder: x\njob: {device: tpu}", "job.device must be one of auto, cpu, cuda"),
        ("folder: x\ndicom: 3", "dicom must be `key: value` lines"),
        ("folder: x", "no way in"),
        ("folder: x\ndicom: {peers: [{ae_title: A, address: here}]}", "no address and no network"),
        ("folder: x\ndicom: {peers: [{ae_title: A}]}", "dicom.peers[0].address is missing"),
        ("folder: x\ndicom: {ae_title: A-TITLE-THAT-IS-TOO-LONG}", "no AE title"),
        ("folder: x\nhttp: {host: 0.0.0.0}", "a token_file is needed"),
        ("folder: x\nhttp: {allow: [all]}", "no address and no network"),
        ("folder: x\nhttp: {token_file: nowhere}", "nowhere: no such file"),
        ("folder: x\nhttp: {tls: {certificate: a, key: b}}", "http.tls.ca is missing"),
        ("folder: x\nhttp: {}\nsend: [{name: a, kind: dicom}]", "needs host, port and ae_title"),
        ("folder: x\nhttp: {}\nsend: [{name: a, kind: stow, url: ftp://x}]", "a url with http"),
        ("folder: x\nhttp: {}\nsend: [{name: a, kind: mail}]", "must be one of dicom, stow"),
        ("folder: x\nhttp: {}\nsend:\n- {name: a, kind: stow, url: 'http://x'}\n"
         "- {name: a, kind: stow, url: 'http://y'}", "same name"),
        ("folder: x\npull: [{name: a, url: 'http://x', filters: [CT]}]", "Keyword=value"),
        ("folder: x\nhttp: {}\njob: {facts: none.yaml}", "none.yaml: no such file"),
        ("folder: x\nhttp: {token_file: empty}", "it is empty"),
        ("folder: x\nhttp: {}\nsend: [{name: a, kind: stow, url: 'http://x', token_file: empty}]",
         "it is empty"),
        ("folder: x\nhttp: {token_file: binary}", "not a readable text file"),
        ("folder: x\nhttp: {}\njob: {facts: wrong.yaml}", "wrong.yaml:1: patient.age: -5 year is"),
        ("folder: x\nhttp: {}\njob: {books: [nosuch]}", "nosuch"),
        ("folder: x\nhttp: {}\njob: {model: nosuch}", "nosuch: no such model"),
        ("folder: x\nhttp: {}\njob: {policy: .}", "policy.yaml"),
        ("folder: x\nhttp: {}\njob: {draws: 10001}", "draws go to 10000"),
        ("folder: x\nhttp: {}\njob: {command: [nil, '{images}', '{out}']}", "nil: no such program"),
        ("folder: x\nhttp: {}\njob: {command: [sh, '{images}']}", "does not say where {out} goes"),
        ("folder: x\nhttp: {}\njob: {timeout_s: 0}", "yaml:3: job.timeout_s must be more than 0"),
        ("folder: x\nlimits: {pdu_kb: 0}", "limits.pdu_kb must be more than 0"),
        ("folder: x\npull: [{name: a, url: 'http://x', every_s: 0}]", "every_s must be more than 0"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "empty").write_text("\na token in the second line\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "wrong.yaml").write_text("patient.age: -5\n")
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
    assert "node.yaml" in str(caught.value)


def test_what_a_job_needs_is_found_beside_the_settings(tmp_path: Path) -> None:
    """As every other path in the file; the folder the node was started in has no part in it."""
    from burden.segment import models

    folder = models()[0].folder
    (tmp_path / "bundle").symlink_to(folder)
    (tmp_path / "known.yaml").write_text("patient.age: 61\n")
    settings = read(tmp_path, "folder: x\nhttp: {}\njob: {model: bundle, facts: known.yaml}")
    assert settings.job.model == str(tmp_path / "bundle")
    assert settings.job.facts == tmp_path / "known.yaml"


def test_command_line(tmp_path: Path) -> None:
    def burden(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BURDEN, "node", *args], capture_output=True, text=True)

    shown = burden("--template")
    assert shown.stdout == template()
    config = tmp_path / "node.yaml"
    config.write_text(shown.stdout)
    assert burden("-c", str(config), "--check").returncode == 0
    assert json.loads(burden("-c", str(config), "--check", "--json").stdout)["ok"] is True
    for args in ([], ["-c", str(tmp_path / "none.yaml")]):
        wrong = burden(*args)
        assert wrong.returncode == 2
        assert wrong.stderr.count("\n") == 1
    config.write_text("folder: x\ndicom: {port: 99999999}\n")
    wrong = burden("-c", str(config))
    assert wrong.returncode == 2, wrong.stderr
    assert "bug" not in wrong.stderr


def test_port_in_use_and_folder_that_cannot_be(make_node: Any, tmp_path: Path) -> None:
    node = make_node()
    other = make_node(start=False, http={"port": node.ports["http"]})
    done = subprocess.run([BURDEN, "node", "-c", str(other.config)], capture_output=True, text=True)
    assert (done.returncode, "cannot listen" in done.stderr) == (2, True), done.stderr
    (tmp_path / "file").write_text("")
    other.config.write_text(f"folder: {tmp_path}/file/x\nhttp: {{port: 0}}\n")
    done = subprocess.run([BURDEN, "node", "-c", str(other.config)], capture_output=True, text=True)
    assert (done.returncode, "cannot be used" in done.stderr) == (6, True), done.stderr
