"""docs/models.md: every command parses, every burden.yaml in it is accepted, every extra exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from burden.cli import cli
from burden.resources import shipped
from burden.segment.description import KEYS, read_description
from burden.segment.foreign import NETWORKS
from burden.segment.kinds import kind_of
from burden.segment.monai_network import read_plan
from burden.segment.totalsegmentator_run import TASKS

ROOT = shipped("models").parent
TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    burden ")]
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str) -> None:
    _, name, *args = line.split()
    command = cli.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, args)


def test_there_is_something_to_check() -> None:
    assert len(COMMANDS) >= 4
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("block", BLOCKS)
def test_settings_are_accepted(block: str, tmp_path: Path) -> None:
    (tmp_path / "burden.yaml").write_text(block, encoding="utf-8")
    table = read_description(tmp_path)
    assert set(table) <= KEYS
    if "network" in table:
        plan = read_plan(tmp_path)
        assert plan.network in NETWORKS
        assert plan.naming.liver
        assert plan.naming.lesion
        assert kind_of(tmp_path) == "monai_network"
    if table.get("kind") == "totalsegmentator":
        assert set(table["tasks"]) <= set(TASKS)
        assert kind_of(tmp_path) == "totalsegmentator"


def test_the_vista_example_knows_every_label_it_names() -> None:
    block = next(yaml.safe_load(b) for b in BLOCKS if "vista3d132" in b)
    from burden.segment.naming import naming_of

    assert naming_of(block["labels"], "docs").known == tuple(sorted(block["labels"].values()))


def test_extras_and_networks_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"liver-burden\[(\w+)\]", TEXT))
    assert named == {"networks", "nnunet", "totalsegmentator"}
    assert named <= set(project["optional-dependencies"])
    assert all(f"{name}" in TEXT for name in NETWORKS)
