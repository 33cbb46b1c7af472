"""Backups of the running site, and bringing one back.

A backup is a folder: the database as it was at one instant, the files of the site, and what was
counted then. The keys are not in it: who finds a backup must not be able to read faces, so keys
are kept somewhere else. The fingerprints of the keys are, so that the right ones are found again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.postgresql.client import DatabaseClient

MANIFEST, FILES = "manifest.json", "files"
#: A database with rows in one of these is in use.
PEOPLE = ("accounts_user", "roster_student")
DATABASE_FILES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}


class BackupError(Exception):
    """It cannot be done; the text says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. ``rows`` counts the tables as they are in it."""

    made_at: str
    version: str
    database: str
    rows: dict[str, int]
    key_fingerprints: list[str]

    @classmethod
    def of(cls, folder: Path) -> Manifest:
        try:
            found = json.loads((folder / MANIFEST).read_text())
            return cls(**found)
        except (OSError, ValueError, TypeError) as error:
            raise BackupError(
                f"{folder} is no backup: its {MANIFEST} cannot be read ({type(error).__name__}). "
                "Give the folder that `manage.py backup` wrote."
            ) from error


def fingerprint(key: str) -> str:
    """By which a key is known without being told: it is random, so its hash gives nothing away."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


# Making one


def back_up(into: Path, *, at: datetime) -> Path:
    """Write a backup into a new folder below ``into``; the site may run meanwhile."""
    name = f"rollcall-{at:%Y-%m-%dT%H%M%SZ}"
    unfinished = into / f".{name}.part"
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        unfinished.mkdir(mode=0o700)
    except FileExistsError as error:
        raise BackupError(f"{unfinished} is there already: another backup is being made") from error
    try:
        rows = _dump(unfinished / DATABASE_FILES[_vendor()])
        _copy_files(unfinished / FILES)
        manifest = Manifest(
            made_at=at.isoformat(),
            version=settings.APP_VERSION,
            database=_vendor(),
            rows=rows,
            key_fingerprints=[fingerprint(key) for key in settings.TEMPLATE_KEYS],
        )
        (unfinished / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
        # Whole or not there at all: a folder with this name can be relied on.
        return unfinished.rename(into / name)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _vendor() -> str:
    if connection.vendor not in DATABASE_FILES:
        raise BackupError(f"got a database of {connection.vendor}, expected SQLite or PostgreSQL")
    return connection.vendor


def _dump(file: Path) -> dict[str, int]:
    file.touch(mode=0o600)
    return _dump_sqlite(file) if _vendor() == "sqlite" else _dump_postgresql(file)


def _dump_sqlite(file: Path) -> dict[str, int]:
    source = f"file:{connection.settings_dict['NAME']}?mode=ro"
    with (
        closing(sqlite3.connect(source, uri=True)) as running,
        closing(sqlite3.connect(file)) as copy,
    ):
        running.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        sound = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if sound != "ok":
            raise BackupError(f"the database is damaged ({sound}); bring back an older backup")
        tables = copy.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return {name: _count_sqlite(copy, name) for (name,) in tables.fetchall()}


def _count_sqlite(copy: sqlite3.Connection, table: str) -> int:
    return int(copy.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0])  # noqa: S608


@transaction.atomic
def _dump_postgresql(file: Path) -> dict[str, int]:
    """Counted and dumped in one snapshot, so that both are of the same instant."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
        rows = _rows_by_table()
        _run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={file}")
        return rows


def _rows_by_table() -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(name)}")  # noqa: S608
            counts[name] = int(cursor.fetchone()[0])
        return counts


def _files_folder() -> Path | None:
    """Where the site keeps files of its own; none where that is another machine."""
    storage: Any = settings.STORAGES["default"]
    location = storage.get("OPTIONS", {}).get("location")
    return Path(location) if location else None


def _copy_files(to: Path) -> None:
    files = _files_folder()
    if files is not None and files.is_dir():
        shutil.copytree(files, to)


# Bringing one back


def restore(folder: Path, *, replace: bool = False) -> Manifest:
    """Put a backup in the place of this database, which must be empty unless ``replace`` is given.

    Raises:
        BackupError: the folder is no backup for this database, or what came out is not what went
            in.
    """
    manifest = Manifest.of(folder)
    if manifest.database != _vendor():
        raise BackupError(
            f"the backup is of {manifest.database}, DATABASE_URL leads to {_vendor()}: set it to "
            f"an empty database of {manifest.database}"
        )
    if not replace and any(
        _rows_by_table().get(table) for table in ("accounts_user", "roster_student")
    ):
        raise BackupError(
            "the database has people in it already. Stop the site and give --replace if their "
            "data is to be deleted for the backup's"
        )
    file = folder / DATABASE_FILES[_vendor()]
    if not file.is_file():
        raise BackupError(f"{file} is missing: the backup is not whole")
    _load(file)
    kept, files = folder / FILES, _files_folder()
    if kept.is_dir() and files is not None:
        shutil.copytree(kept, files, dirs_exist_ok=True)
    _compare(manifest)
    return manifest


def _load(file: Path) -> None:
    if _vendor() == "postgresql":
        connection.close()
        options = ("--clean", "--if-exists", "--no-owner", "--no-privileges")
        _run(
            "pg_restore",
            *options,
            "--single-transaction",
            "--exit-on-error",
            f"--dbname={connection.settings_dict['NAME']}",
            str(file),
        )
        return
    connection.close()
    target = str(connection.settings_dict["NAME"])
    with closing(sqlite3.connect(file)) as kept, closing(sqlite3.connect(target)) as database:
        kept.backup(database)


def _compare(manifest: Manifest) -> None:
    rows = _rows_by_table()
    wrong = [
        f"{table} has {rows.get(table)}, expected {count}"
        for table, count in manifest.rows.items()
        if rows.get(table) != count
    ]
    if wrong:
        raise BackupError(
            f"what came back is not what was kept: {'; '.join(wrong)}. Was the site running? Stop "
            "it and restore again with --replace."
        )


def missing_keys(manifest: Manifest) -> list[str]:
    """Fingerprints of keys that were in use when the backup was made and are not now."""
    here = {fingerprint(key) for key in settings.TEMPLATE_KEYS}
    return [one for one in manifest.key_fingerprints if one not in here]


def _run(program: str, *arguments: str) -> None:
    """A program of PostgreSQL. The password goes by the environment: arguments are seen by all."""
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"{program} is not installed: on Debian `apt install postgresql-client`, of the "
            "server's version or later"
        )
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [found, *arguments], env=_postgresql_environment(), capture_output=True, text=True
    )
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _postgresql_environment() -> dict[str, str]:
    to: dict[str, Any] = connection.settings_dict
    _arguments, passwords = DatabaseClient.settings_to_cmd_args_env(to, [])
    where = {
        "PGHOST": to["HOST"],
        "PGPORT": str(to["PORT"] or ""),
        "PGUSER": to["USER"],
        "PGDATABASE": to["NAME"],
    }
    given = {name: value for name, value in where.items() if value}
    return {**os.environ, **given, **(passwords or {})}
