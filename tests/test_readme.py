"""The README's commands are the ones that CI runs, and they name things that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2, "two commands do all the set-up"
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_command_named_exists() -> None:
    from burden.cli import cli

    code = re.findall(r"```sh\n(.*?)```", README, re.S) + re.findall(r"`(burden [^`]+)`", README)
    named = {word for block in code for word in re.findall(r"\bburden ([a-z]+)\b", block)}
    assert named <= set(cli.commands)
    assert {"run", "series", "assess", "rules", "models", "doctor", "phantom", "train"} <= named


def test_every_path_named_exists() -> None:
    for path in re.findall(r"`((?:sample_data|configs|models|burden)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"sample_data/[\w/]+(?:\.yaml)?", README):
        assert (ROOT / path).exists(), path
