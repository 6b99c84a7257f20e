"""What is shipped for deployment fits the program and the formats it is for. No image is built here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from burden import __version__
from burden.node.read import read_settings
from burden.node.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# In place of the model: what the job writes, and a note of how it was called.
STUB = """#!/bin/sh
echo "$@" > "$NOTE"
ls "$2" > "$NOTE.images"
[ ! -e "$2/fail.dcm" ] || exit 3
mkdir -p "$4/dicom/sc"
for name in seg sr report sc/liver sc/lesion; do echo "$name" > "$4/dicom/$name.dcm"; done
echo '{}' > "$4/case.json"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "burden"
    stub.write_text(STUB)
    stub.chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a#1.dcm").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("NOTE", str(tmp_path / "note"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def made(place: Path) -> set[str]:
    return {p.relative_to(place / "out").as_posix() for p in (place / "out").rglob("*") if p.is_file()}


def mercure(place: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> int:
    monkeypatch.setenv("MERCURE_IN_DIR", str(place / "in"))
    monkeypatch.setenv("MERCURE_OUT_DIR", str(place / "out"))
    (place / "in" / "task.json").write_text(task)
    return subprocess.run([DEPLOY / "mercure" / "docker-entrypoint.sh"], capture_output=True).returncode


def test_mercure_module_sends_flat_dicom_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"device": "cpu", "draws": 16, "strict": True, "model": "x"}
    assert mercure(place, monkeypatch, json.dumps({"process": {"settings": settings}})) == 0
    assert made(place) == {"seg.dcm", "sr.dcm", "report.dcm", "sc-liver.dcm", "sc-lesion.dcm"}
    told = (place / "note").read_text()
    assert "--device cpu --draws 16 --model x --strict" in told
    assert (place / "note.images").read_text() == "a#1.dcm\n", "the task is no image"
    assert not list(place.glob("tmp.*"))


@pytest.mark.parametrize("task", ["{}", "no json", '{"process": null}',
                                  '{"process": [{"settings": {"objects": "sr seg"}}]}',
                                  '{"process": {"settings": {"objects": ["sr", "seg"]}}}'])  # fmt: skip
def test_mercure_module_with_few_settings(
    place: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    assert mercure(place, monkeypatch, task) == 0
    assert made(place) == {"seg.dcm", "sr.dcm"} if "objects" in task else len(made(place)) == 5
    assert "--strict" not in (place / "note").read_text()


def test_mercure_module_fails_without_results(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "in" / "fail.dcm").write_text("")
    assert mercure(place, monkeypatch, "{}") == 3
    assert made(place) == set()


def test_mercure_module_entry() -> None:
    """Fields of a module in mercure's configuration."""
    (entry,) = json.loads((DEPLOY / "mercure" / "module.json").read_text()).values()
    known = {"docker_tag", "additional_volumes", "environment", "docker_arguments", "settings",
             "contact", "comment", "constraints", "resources", "requires_root"}  # fmt: skip
    assert set(entry) <= known
    assert entry["docker_tag"]
    assert isinstance(entry["settings"], dict)
    assert json.loads(entry["docker_arguments"])


def test_map_runs_one_study(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLOSCAN_INPUT_PATH", str(place / "in"))
    monkeypatch.setenv("HOLOSCAN_OUTPUT_PATH", str(place / "out"))
    command = DEPLOY / "map" / "run.sh"
    assert subprocess.run([command], capture_output=True).returncode == 0
    assert {"case.json", "dicom/seg.dcm", "dicom/sc/liver.dcm"} <= made(place)
    shutil.rmtree(place / "out")
    (place / "out").mkdir()
    (place / "in" / "fail.dcm").write_text("")
    assert subprocess.run([command], capture_output=True).returncode == 3
    assert made(place) == set()


def test_map_manifests() -> None:
    """Required fields and forms of the MAP specification 1.0.0, `Manifests`."""
    app, pkg = (json.loads((DEPLOY / "map" / f"{n}.json").read_text()) for n in ("app", "pkg"))
    assert {"command", "input", "output"} <= app.keys()
    assert app["type"] in ("application", "service")
    assert isinstance(app["input"]["formats"], list)
    assert "format" in app["output"]
    assert app["workingDirectory"].startswith("/")
    assert pkg["applicationRoot"] == "/opt/holoscan/app"
    assert app["version"] == pkg["version"] == __version__
    for one in (app, pkg):
        assert re.fullmatch(r"\d+\.\d+\.\d+", one["apiVersion"])
    for model in pkg["models"]:
        assert (ROOT / "models" / model["path"]).is_dir()
    assert re.fullmatch(r"\d+[GM]i", pkg["resources"]["memory"])


def test_dockerfile_copies_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"AS (\w+)$", text, re.M)) == {"base", "node", "mercure", "map"}
    for line in re.findall(r"^COPY (.+)$", text, re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert f"ARG VERSION={__version__}" in text
    assert text.count("USER 1000") == 2, "mercure chooses the user itself"
    assert '[".[node]"' not in text
    assert '".[node]"' in text


def test_unit_fits_the_program(tmp_path: Path) -> None:
    text = (DEPLOY / "burden-node.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > Settings(tmp_path).stop_within_s
    assert "KillMode=mixed" in text, "the worker must not get the signal"
    if shutil.which("systemd-analyze") is None:
        return
    unit = tmp_path / "burden-node.service"
    unit.write_text(text.replace("/opt/burden/bin/burden", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    said = [line for line in checked.stderr.splitlines() if "burden-node" in line]
    assert said == []


def test_readme_commands_exist(tmp_path: Path) -> None:
    text = (DEPLOY / "README.md").read_text() + (DEPLOY / "Dockerfile").read_text()
    for target in re.findall(r"--target (\w+)", text):
        assert f"AS {target}\n" in text
    from burden.node.read import template

    (tmp_path / "node.yaml").write_text(template().replace("./node-data", "/var/lib/burden"))
    assert read_settings(tmp_path / "node.yaml").folder == Path("/var/lib/burden")
