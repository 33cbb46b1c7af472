"""An outside developer's half hour: `docs/api.md`, word by word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import LECTURER
from integrations.api.problems import PROBLEMS
from integrations.oauth.scopes import SCOPES
from roster.models import ClassSession, Course, Student
from tests.support.school import an_attendance

GUIDE = (settings.BASE_DIR / "docs" / "api.md").read_text(encoding="utf-8")
SCRIPT = re.findall(r"```python\n(.+?)```", GUIDE, re.DOTALL)[0]


def account_for_the_system(desk: Client) -> User:
    """Step 1."""
    desk.post(
        reverse("admin:accounts_user_add"),
        {
            "username": "timetable",
            "usable_password": "false",
            "groups": [Group.objects.get(name=LECTURER).pk],
        },
    )
    return User.objects.get(username="timetable", is_staff=True)


def client_for_the_system(desk: Client, account: User) -> dict[str, str]:
    """Step 2: what is shown once."""
    shown = desk.post(
        reverse("admin:integrations_apiclient_add"),
        {
            "name": "Timetable",
            "kind": "machine",
            "scopes": ["roster:read", "roster:write", "attendance:read"],
            "service_account": account.pk,
        },
    )
    assert "no-store" in shown.headers["Cache-Control"]
    found = dict(re.findall(r'<code id="client-(id|secret)">([^<]+)</code>', shown.text))
    return {"ROLLCALL_ID": found["id"], "ROLLCALL_SECRET": found["secret"]}


@pytest.mark.django_db(transaction=True)
def test_the_guide_leads_to_a_class_list_and_todays_attendance(
    live_server: Any,
    as_admin: Client,
    math: Course,
    math_session: ClassSession,
    eileen: Student,
    tmp_path: Path,
) -> None:
    an_attendance(math_session, eileen)
    account = account_for_the_system(as_admin)
    math.lecturers.add(account)
    shown = client_for_the_system(as_admin, account)

    (tmp_path / "today.py").write_text(SCRIPT, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, tmp_path / "today.py"],
        env={**os.environ, **shown, "ROLLCALL_URL": live_server.url, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    uploaded, *arrivals = run.stdout.splitlines()
    assert uploaded == "200 {'created': 1, 'changed': 0, 'unchanged': 0, 'ended': 0}"
    assert [line.split()[:2] for line in arrivals] == [["S-1", "present"]]
    assert math.students.filter(student_id="S-100", name="Ada Lovelace").exists()


def test_the_script_is_short() -> None:
    assert len([line for line in SCRIPT.splitlines() if line.strip()]) < 30


def test_the_guide_names_every_code_and_every_scope() -> None:
    assert {code for code in PROBLEMS if f"`{code}`" not in GUIDE} == set()
    assert {scope for scope in SCOPES if f"`{scope}`" not in GUIDE} == set()
