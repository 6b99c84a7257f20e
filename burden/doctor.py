"""Is this installation sound? Packages, model files, rule books, memory, optional tools."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from burden.errors import BurdenError

_NEEDED = ("click", "connected-components-3d", "edt", "highdicom", "jinja2", "jsonschema", "matplotlib",
           "monai", "nibabel", "numpy", "pydicom", "python-gdcm", "pyyaml", "rich", "safetensors",
           "scikit-image", "scipy", "SimpleITK", "torch")  # fmt: skip
_TOOLS = {
    "dciodvfy": "validates DICOM output (tests)",
    "chromium": "prints report.pdf and runs browser tests",
}
_MEMORY_GIB = 6

Check = dict[str, str]


def check_all() -> list[Check]:
    """Every check, in the order in which a problem would show."""
    return [_python(), *_packages(), _memory(), _device(), *_model_checks(), _books(), *_tools()]


def check_models() -> list[dict[str, Any]]:
    """Each known model: where, how large, and whether its files match their hashes."""
    from burden.segment import load_model, models

    result = []
    for entry in models():
        state = "good"
        try:
            load_model(entry)
        except BurdenError as error:
            state = str(error)
        files = [p for p in entry.folder.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files) / 1e6
        result.append({"id": entry.id, "default": entry.default,
                       "optional": entry.optional, "backend": entry.backend,
                       "state": state, "megabytes": round(size, 2), "text": entry.text})  # fmt: skip
    return result


def _check(what: str, state: str, detail: str) -> Check:
    return {"what": what, "state": state, "detail": detail}


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return _check(
        "Python", "good" if good else "broken", sys.version.split()[0] + ", 3.11 or newer needed"
    )


def _packages() -> list[Check]:
    checks = []
    for name in _NEEDED:
        try:
            checks.append(_check(name, "good", version(name)))
        except PackageNotFoundError:
            checks.append(_check(name, "broken", f"not installed: pip install {name}"))
    return checks


def _memory() -> Check:
    if not hasattr(os, "sysconf"):  # Windows
        return _check("memory", "absent", f"not known; the main job uses up to {_MEMORY_GIB} GiB")
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gib = pages * size / 2**30
    state = "good" if gib >= _MEMORY_GIB else "absent"
    return _check("memory", state, f"{gib:.1f} GiB; the main job uses up to {_MEMORY_GIB}")


def _device() -> Check:
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
    return _check("device", "good", name)


def _model_checks() -> list[Check]:
    checks = []
    for m in check_models():
        good = m["state"] == "good"
        detail = f"{m['megabytes']} MB" if good else m["state"]
        state = "good" if good else "absent" if m["optional"] else "broken"
        checks.append(_check(f"model {m['id']}", state, detail))
    return checks


def _books() -> Check:
    from burden.assess import check_books
    from burden.resources import shipped

    problems = [str(p) for p in check_books(shipped("configs", "rulebooks"))]
    return _check("rule books", "broken" if problems else "good", "; ".join(problems) or "no problems")


def _tools() -> list[Check]:
    return [
        _check(tool, "good" if shutil.which(tool) else "absent", f"optional: {use}")
        for tool, use in _TOOLS.items()
    ]
