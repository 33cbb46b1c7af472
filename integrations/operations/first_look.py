"""`manage.py doctor`: first what can be said without any package, then the rest.

Only the standard library is imported here, for this must run where nothing is installed yet.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST_PYTHON = (3, 11)
#: State, and how it begins the line.
SIGNS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
#: How many packages are named.
NAMED = 5

#: Part, state, text, what to do: the fields of `findings.Finding`, which needs packages.
Line = dict[str, str]


def main(arguments: Sequence[str]) -> int:
    """Print what is well and what is not; 1 if something is wrong, 0 otherwise."""
    options = _options(arguments)
    lines = list(_lines())
    if options.json:
        print(json.dumps({"well": not _is_ill(lines), "parts": lines}, indent=1))  # noqa: T201
    else:
        for line in lines:
            print(as_text(line))  # noqa: T201
        print(_sum_of(lines))  # noqa: T201
    return int(_is_ill(lines))


def as_text(line: Line) -> str:
    told = f"{SIGNS[line['state']]}  {line['part']}: {line['text']}"
    return f"{told}\n         → {line['to_do']}" if line["to_do"] else told


def _options(arguments: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(
        prog="manage.py doctor", description="Say what is missing or wrong, and what to do."
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser.parse_args(arguments)


def _lines() -> Iterator[Line]:
    for look in (python, packages, env_file):
        line = look()
        yield line
        if line["state"] == "error":
            return  # what comes after it would fail for the same reason
    yield from _with_django()


def _with_django() -> Iterator[Line]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "attendance_site.settings")
    try:
        import django

        django.setup()
    except Exception as error:
        yield _line("settings", "error", f"The settings are wrong: {error}", _how_to_set(error))
        return
    yield _line("settings", "ok", "The settings can be read.")
    from integrations.operations.doctor import examine

    for finding in examine():
        yield _line(finding.part, finding.state.value, finding.text, finding.to_do)


# Without a package


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Line:
    told = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return _line(
            "python",
            "error",
            f"This is Python {told}, {oldest} or later is needed.",
            f"Install it, then `make PYTHON=python{oldest} setup`.",
        )
    return _line("python", "ok", f"Python {told}.")


def packages(requirements: Path = ROOT / "requirements.txt") -> Line:
    pinned = _pinned(requirements.read_text())
    missing = [name for name in pinned if _installed(name) is None]
    if missing:
        named = ", ".join(missing[:NAMED]) + (" and more" if len(missing) > NAMED else "")
        return _line(
            "packages",
            "error",
            f"{len(missing)} of {len(pinned)} packages are missing: {named}.",
            "Run `make setup`, and `.venv/bin/python manage.py`, not another Python's.",
        )
    other = [name for name, version in pinned.items() if _installed(name) != version]
    if other:
        return _line(
            "packages",
            "warning",
            f"{len(other)} packages have another version than was tested: "
            f"{', '.join(other[:NAMED])}.",
            "Run `pip install -r requirements.txt`.",
        )
    return _line("packages", "ok", f"All {len(pinned)} packages are installed as tested.")


def env_file(file: Path = ROOT / ".env") -> Line:
    if not file.is_file():
        if os.environ.get("SECRET_KEY") and os.environ.get("TEMPLATE_KEYS"):
            return _line("env", "ok", "The settings come from the environment.")
        return _line(
            "env",
            "error",
            "There is no .env beside manage.py, and SECRET_KEY and TEMPLATE_KEYS are not set.",
            "Run `make setup`, which writes one with new keys.",
        )
    if file.stat().st_mode & 0o077:
        return _line(
            "env",
            "warning",
            "Others on this machine may read .env, which holds the keys.",
            "Run `chmod 600 .env`.",
        )
    return _line("env", "ok", "There is a .env, which only its owner reads.")


def _pinned(requirements: str) -> dict[str, str]:
    """Name → version of what is needed on this platform.

    >>> _pinned("django==5.2\\n    # via x\\ncolorama==0.4 ; sys_platform == 'no such'\\n")
    {'django': '5.2'}
    """
    found = {}
    for name, version, marker in re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)(?:\s*;\s*(.+))?$", requirements, re.MULTILINE
    ):
        if not marker or _applies(marker):
            found[name] = version
    return found


def _applies(marker: str) -> bool:
    """Whether a marker of pip holds here. Without `packaging` only what has none is asked for."""
    try:
        from packaging.markers import Marker
    except ImportError:
        return False
    return bool(Marker(marker).evaluate())


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _how_to_set(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "Run `make setup`."
    return "Put it right in .env or in the environment; docs/deploy.md lists every variable."


def _is_ill(lines: list[Line]) -> bool:
    return any(line["state"] == "error" for line in lines)


def _sum_of(lines: list[Line]) -> str:
    counts = {state: sum(line["state"] == state for line in lines) for state in SIGNS}
    if counts["error"]:
        return f"\n{counts['error']} of {len(lines)} parts are wrong."
    if counts["warning"]:
        return f"\nIt works; {counts['warning']} of {len(lines)} parts deserve a look."
    return f"\nAll {len(lines)} parts are well."


def _line(part: str, state: str, text: str, to_do: str = "") -> Line:
    return {"part": part, "state": state, "text": text, "to_do": to_do}
