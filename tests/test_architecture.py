"""The layering, held by reading the imports: who may import whom, and how heavy help may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "burden"
VALUES = {
    "errors",
    "grid",
    "image",
    "answer",
    "facts",
    "findings",
    "lesions",
    "case",
    "options",
    "pseudonym",
    "resources",
}
HEAVY = {"torch", "monai", "SimpleITK", "highdicom", "pydicom", "nibabel", "matplotlib", "jinja2"}
ROOMS = {"read", "segment", "measure", "assess", "plan", "write"}
SHELLS = {"cli", "batch", "compare", "evaluate", "node", "review", "cohort", "train"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Names of imported modules; with top_only those run when the module is imported."""
    found: set[str] = set()

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            deeper = top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if top or not top_only:
                if isinstance(child, ast.Import):
                    found.update(alias.name for alias in child.names)
                elif isinstance(child, ast.ImportFrom) and child.module:
                    found.add(child.module)
            visit(child, deeper)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("burden.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_values_import_values_only(path: Path) -> None:
    if room_of(path) in VALUES:
        allowed = VALUES | {"burden"}
        assert rooms_imported(path) <= allowed
        outside = (
            {n.split(".")[0] for n in imports(path)} - {"burden", "numpy"} - set(sys.stdlib_module_names)
        )
        assert not outside


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_do_not_reach_into_each_other(path: Path) -> None:
    room, used = room_of(path), rooms_imported(path)
    if room in ROOMS:
        assert not used & (ROOMS - {room}), "data flows through values, not between rooms"
        assert not used & (SHELLS | {"pipeline", "phantom"})
    if room in SHELLS:
        assert not used & (SHELLS - {room}) or room == "cli", "shells never import one another"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_inside_functions(path: Path) -> None:
    if room_of(path) == "train" or path.name == "network.py":
        return  # only ever imported when training or inferring
    assert not {name.split(".")[0] for name in imports(path, top_only=True)} & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 75, f"{node.name} is too long to read"


def test_only_the_grid_knows_ras() -> None:
    knowing = [
        p for p in MODULES if "diag([-1" in p.read_text().replace(" ", "") and p.name != "grid.py"
    ]
    assert not knowing


def test_no_code_is_ever_evaluated() -> None:
    for path in MODULES:
        calls = [n.func.id for n in ast.walk(ast.parse(path.read_text()))
                 if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]  # fmt: skip
        assert not {"eval", "exec"} & set(calls), path


@pytest.mark.parametrize("code", ["import burden", "import burden.cli"])
def test_import_is_light(code: str) -> None:
    probe = (
        f"import sys, time; start = time.process_time(); {code}; "
        "print(time.process_time() - start, *sorted(m for m in sys.modules if '.' not in m))"
    )
    out = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True
    ).stdout
    seconds, *modules = out.split()
    assert not HEAVY & set(modules)
    assert float(seconds) < 0.3


def test_help_is_light() -> None:
    probe = (
        "import sys, time; sys.argv = ['burden', '--help']; from burden.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.stderr.write(f'{time.process_time()} {\"torch\" in sys.modules}')"
    )
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    seconds, torch_loaded = done.stderr.split()
    assert float(seconds) < 0.3
    assert torch_loaded == "False"
