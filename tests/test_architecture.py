"""Which part may know which other part."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Each app may import itself and those before it. The last one puts everything together.
ORDER = ["accounts", "roster", "recognition", "checkin", "integrations", "attendance_site"]
APPS = [name for name in ORDER if (ROOT / name).is_dir()]


def imports_of(source: str, module: str) -> Iterator[str]:
    """Every module that a file imports, inside functions too, in full."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def modules_of(app: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / app).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def test_imports_inside_functions_and_relative_ones_are_seen():
    source = "def f():\n    from ..models import User\n    import roster.selectors as s"
    assert list(imports_of(source, "accounts.api.views")) == [
        "accounts.models.User",
        "roster.selectors",
    ]


@pytest.mark.parametrize("app", APPS)
def test_imports_point_one_way(app):
    later = set(ORDER[ORDER.index(app) + 1 :])
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules_of(app)
        for imported in imports_of(path.read_text(), module)
        if imported.split(".")[0] in later
    ]
    assert wrong == []


def test_the_engine_knows_neither_django_nor_our_apps():
    forbidden = {"django", "channels", "environs", *ORDER}
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules_of("recognition/engine")
        for imported in imports_of(path.read_text(), module)
        if imported.split(".")[0] in forbidden and not imported.startswith("recognition.engine")
    ]
    assert wrong == []


def test_every_app_has_its_place_in_the_order():
    apps = {path.parent.name for path in ROOT.glob("*/apps.py")} | {"attendance_site"}
    assert apps <= set(ORDER)


def test_requirements_hold_exactly_one_opencv():
    """All its distributions provide the same `cv2`: two of them overwrite each other."""
    pinned = (ROOT / "requirements.txt").read_text()
    assert len(re.findall(r"^opencv[\w-]*==", pinned, re.MULTILINE)) == 1
