"""Which person belongs to which group, from a file."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

COLUMNS = ("person", "group")


def groups_in(file: Path, people: Collection[str]) -> dict[str, str]:
    """The group of each person of a CSV with the columns person and group.

    Raises:
        ValueError: the file cannot be read, has other columns, an empty group, somebody twice, or
            nobody of these people.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read as CSV: {error}") from error
    if not set(COLUMNS) <= set(columns):
        raise ValueError(
            f"{file} has the columns {', '.join(columns) or 'none'}, expected person and group"
        )
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        person, group = ((row[column] or "").strip() for column in COLUMNS)
        if not person or not group:
            raise ValueError(f"{file}, line {number}: expected a person and a group")
        if groups.setdefault(person, group) != group:
            raise ValueError(f"{file}, line {number}: {person} is in two groups")
    known = {person: group for person, group in groups.items() if person in people}
    if not known:
        raise ValueError(
            f"{file} names nobody of whom there are pictures; the column person holds the names of "
            "the folders"
        )
    return known
