"""What is shipped for those who run it: files that their programs accept, and a whole table."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from attendance_site.celery import BACKGROUND, SHARED_OUT, app

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
APPS = ("accounts", "roster", "recognition", "checkin", "integrations", "attendance_site")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


def variables_of(source: str) -> Iterator[str]:
    """What a settings file reads from the environment, by itself or by a helper of its own."""
    tree = ast.parse(source)
    helpers = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if not name.startswith("env.") and name not in helpers:
            continue
        takes_several = name in helpers and helpers[name].args.vararg is not None
        for argument in call.args if takes_several else call.args[:1]:
            value = argument.value if isinstance(argument, ast.Constant) else None
            if isinstance(value, str) and VARIABLE.fullmatch(value):
                yield value


def documented() -> set[str]:
    """The first column of the table in the section on settings."""
    section = (ROOT / "docs" / "deploy.md").read_text().split("## Settings")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_variables_are_found_wherever_a_settings_file_reads_them():
    source = (
        "def flag(name): ...\ndef two(*names): ...\n"
        "A = env.str('ONE', 'x')\nB = flag('TWO', 'SIX')\n"
        "C = two('THREE', 'FOUR')\nif x := other('NOT'):\n  D = env.dj_db_url('FIVE')"
    )
    assert set(variables_of(source)) == {"ONE", "TWO", "THREE", "FOUR", "FIVE"}


def test_each_setting_stands_in_the_table():
    read = set(variables_of((ROOT / "attendance_site" / "settings.py").read_text()))
    assert {"SECRET_KEY", "CELERY_BROKER_URL", "OIDC_CLIENT_ID"} <= read
    assert read - documented() == set(), "read by settings.py, but not in docs/deploy.md"


def test_the_table_has_nothing_that_no_code_reads():
    sources = "".join(path.read_text() for name in APPS for path in (ROOT / name).rglob("*.py"))
    assert {name for name in documented() if f'"{name}"' not in sources} == set()


# Files


def test_the_compose_file_says_what_belongs_to_it():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {
        *("setup", "web1", "web2", "worker", "pictures", "beat", "postgres", "redis", "nginx")
    }
    own = ("setup", "web1", "web2", "worker", "pictures", "beat")
    for name in own:
        assert services[name]["read_only"], name
        assert services[name]["cap_drop"] == ["ALL"], name
    mounted = [volume.split(":")[0] for volume in services["nginx"]["volumes"]]
    assert all((DEPLOY / path).exists() or path == "./tls" for path in mounted)
    listened = {queue for name in own for queue in _queues(services[name].get("command", []))}
    assert listened == _queues_in_use()


def test_the_units_listen_to_queues_that_are_in_use():
    worker = (DEPLOY / "systemd" / "rollcall-worker@.service").read_text()
    started = re.search(r"systemctl enable --now (.*)", worker)
    assert started is not None
    assert set(re.findall(r"rollcall-worker@(\w+)", started[1])) == _queues_in_use()


def _queues(command: list[str]) -> list[str]:
    return command[command.index("--queues") + 1].split(",") if "--queues" in command else []


def _queues_in_use() -> set[str]:
    return {work.queue for work in BACKGROUND} | {route["queue"] for route in SHARED_OUT.values()}


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed on this system"
)
def test_systemd_accepts_the_units(tmp_path):
    """With programs that are there, as those of the units are installed later."""
    for path in (DEPLOY / "systemd").iterdir():
        unit = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", path.read_text())
        (tmp_path / path.name).write_text(unit)
    units = [tmp_path / path.name for path in (DEPLOY / "systemd").iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "rollcall" in line]
    assert ours == []


# The table of what is done beside the requests


def test_each_work_has_a_task_that_the_workers_know():
    app.loader.import_default_modules()
    asked_for = {work.task for work in BACKGROUND} | set(SHARED_OUT)
    assert asked_for <= set(app.tasks)
    own = {name for name in app.tasks if name.split(".")[0] in APPS}
    assert own == asked_for, "a task that nobody ever sends"


def test_each_task_has_limits_that_the_broker_waits_for():
    app.loader.import_default_modules()
    visible_s = 3 * 3600
    for name in {work.task for work in BACKGROUND} | set(SHARED_OUT):
        task = app.tasks[name]
        assert task.soft_time_limit < task.time_limit < visible_s, name
        assert app.conf.task_acks_late, name
