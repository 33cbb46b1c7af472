"""A search for bytes through everything that is stored: tables, columns, files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection


def tables_with(*needles: bytes | str) -> set[str]:
    """The tables of which any column of any row holds one of these, whatever the models say."""
    sought = [needle.encode() if isinstance(needle, str) else needle for needle in needles]
    return {
        table
        for table in connection.introspection.table_names()
        if any(needle in cell for cell in _cells(table) for needle in sought)
    }


def _cells(table: str) -> Iterable[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
        for row in cursor.fetchall():
            for cell in row:
                yield bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()


def files_with(content: bytes) -> set[str]:
    """The files of the data directory, the database's own among them, with any piece of this."""
    pieces = pieces_of(content)
    return {
        path.name
        for path in Path(settings.DATA_DIR).rglob("*")
        if path.is_file() and any(piece in _content_of(path) for piece in pieces)
    }


def _content_of(path: Path) -> bytes:
    """Read by another process: to open and close SQLite's files here would end this process's locks
    on them (POSIX), and the next server to stop would take away the log that is still in use.
    """
    return subprocess.run(["cat", path], check=True, capture_output=True).stdout


def pieces_of(content: bytes, *, size: int = 40, most: int = 25) -> list[bytes]:
    """From all over it, so that some lie whole within a page of the database."""
    step = max(size, len(content) // most)
    return [content[at : at + size] for at in range(0, len(content) - size, step)]


def stored_files() -> list[str]:
    """What the site's storage holds: nothing we write is meant to."""
    root = Path(default_storage.path("."))
    return sorted(str(path) for path in root.rglob("*") if path.is_file())
