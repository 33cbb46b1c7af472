"""A backup of the running site, brought back into a fresh database, is the site."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection

from accounts.models import User
from checkin.models import Kiosk
from integrations.operations.backups import Manifest, fingerprint
from recognition.models import FaceTemplate
from roster.models import ClassSession, Student
from tests.support.live_server import database_url
from tests.support.school import a_student
from tests.support.whole_life import live_a_whole_life

pytestmark = pytest.mark.django_db(transaction=True)

#: What a fresh process, with nothing but the restored database and the keys, can read.
WHAT_IS_THERE = """
import django, json
django.setup()
from recognition.models import FaceTemplate
from roster.models import Student
print(json.dumps({
    "students": sorted(Student.objects.values_list("name", flat=True)),
    "vectors": [[round(float(x), 5) for x in row.vector()] for row in FaceTemplate.objects.all()],
}))
"""


@pytest.fixture
def a_running_site(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> Student:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    return eileen


@pytest.fixture
def fresh_database(tmp_path: Path) -> Iterator[str]:
    """The address of a database in which nothing is yet."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.sqlite3'}"
        return
    name = f"restored_{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield database_url().rsplit("/", 1)[0] + f"/{name}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("manage.py", *arguments, **environment)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {
        "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
        "DATABASE_URL": database_url(),
        "TEMPLATE_KEYS": ",".join(settings.TEMPLATE_KEYS),
        **environment,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def backed_up(into: Path, **environment: str) -> Path:
    done = manage("backup", str(into), **environment)
    assert done.returncode == 0, done.stderr
    return next(into.iterdir())


def test_what_is_restored_has_the_same_rows_and_its_faces_open(
    a_running_site: Student, fresh_database: str, tmp_path: Path
) -> None:
    backup = backed_up(tmp_path / "backups")
    a_student("S-9", "Came After")
    restored = manage("restore", str(backup), DATABASE_URL=fresh_database)
    assert restored.returncode == 0, restored.stderr
    assert "as many as were kept" in restored.stdout
    assert "sealed values open with TEMPLATE_KEYS" in restored.stdout
    there = json.loads(run("-c", WHAT_IS_THERE, DATABASE_URL=fresh_database).stdout)
    assert there["students"] == ["Dmitri Mendeleev", "Eileen Collins"]
    vector = FaceTemplate.objects.get().vector()
    assert there["vectors"] == [[round(float(x), 5) for x in vector]]
    # Into the same place again only by word.
    again = manage("restore", str(backup), DATABASE_URL=fresh_database)
    assert again.returncode == 1
    assert "--replace" in again.stderr
    replaced = manage("restore", str(backup), "--replace", DATABASE_URL=fresh_database)
    assert replaced.returncode == 0, replaced.stderr


def test_a_backup_holds_no_key_and_is_for_its_owner_only(
    a_running_site: Student, tmp_path: Path
) -> None:
    backup = backed_up(tmp_path / "backups")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    for file in (path for path in backup.rglob("*") if path.is_file()):
        assert not any(key.encode() in file.read_bytes() for key in settings.TEMPLATE_KEYS)
        assert settings.SECRET_KEY.encode() not in file.read_bytes()
    manifest = Manifest.of(backup)
    assert manifest.key_fingerprints == [fingerprint(key) for key in settings.TEMPLATE_KEYS]
    assert manifest.rows["roster_student"] == 2


def test_without_its_keys_a_backup_is_restored_and_says_which_key_is_missing(
    a_running_site: Student, fresh_database: str, tmp_path: Path
) -> None:
    backup = backed_up(tmp_path / "backups")
    other = Fernet.generate_key().decode()
    restored = manage("restore", str(backup), DATABASE_URL=fresh_database, TEMPLATE_KEYS=other)
    assert restored.returncode == 1
    assert fingerprint(settings.TEMPLATE_KEYS[0]) in restored.stderr
    assert "Traceback" not in restored.stderr


def test_what_is_no_backup_is_refused(tmp_path: Path, fresh_database: str) -> None:
    refused = manage("restore", str(tmp_path), DATABASE_URL=fresh_database)
    assert refused.returncode == 1
    assert "is no backup" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_backup_of_another_kind_of_database_is_refused(
    tmp_path: Path, fresh_database: str
) -> None:
    other = "postgresql" if connection.vendor == "sqlite" else "sqlite"
    kept: dict[str, Any] = {
        "made_at": "2026-01-01T00:00:00+00:00",
        "version": "1",
        "database": other,
        "rows": {},
        "key_fingerprints": [],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(kept))
    refused = manage("restore", str(tmp_path), DATABASE_URL=fresh_database)
    assert f"the backup is of {other}" in refused.stderr


def test_a_backup_that_cannot_be_written_leaves_nothing_behind(
    a_running_site: Student, tmp_path: Path
) -> None:
    into = tmp_path / "backups"
    if connection.vendor == "sqlite":
        broken = {"DATABASE_URL": f"sqlite:///{tmp_path / 'no database'}"}
        (tmp_path / "no database").write_bytes(b"this is no database " * 100)
    else:
        broken = {"PATH": str(tmp_path)}  # no pg_dump there
    failed = manage("backup", str(into), **broken)
    assert failed.returncode == 1
    assert not into.exists() or list(into.iterdir()) == []


def test_rows_that_are_still_in_sqlites_log_are_in_the_backup(tmp_path: Path) -> None:
    """Somebody who copies the file alone would lose them. The site here is of one table."""
    site = tmp_path / "site.sqlite3"
    with closing(sqlite3.connect(site, isolation_level=None)) as running:
        running.execute("PRAGMA journal_mode=WAL")
        running.execute("CREATE TABLE roster_student (name TEXT)")
        running.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        running.execute("INSERT INTO roster_student VALUES ('Only In The Log')")
        backup = backed_up(tmp_path / "backups", DATABASE_URL=f"sqlite:///{site}")
        assert b"Only In The Log" not in site.read_bytes()
    with closing(sqlite3.connect(backup / "database.sqlite3")) as copy:
        assert copy.execute("SELECT name FROM roster_student").fetchall() == [("Only In The Log",)]
    assert Manifest.of(backup).rows == {"roster_student": 1}
