"""What a file would change, or has changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import tablib

from roster.formats import SafeCSV, Table, without_formula

#: Rows of each kind that a page shows; the others are counted.
SHOWN_ROWS = 200
PROBLEM = "problem"

NEW, CHANGED, SAME = "new", "changed", "same"


@dataclass(slots=True)
class Change:
    """One good row: what the roster says before and after it, column by column."""

    kind: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    target: Any

    def cells(self) -> list[tuple[str, str]]:
        return list(zip(self.before, self.after, strict=True))


@dataclass(frozen=True, slots=True)
class BadRow:
    """``number`` counts as the file does: row 1 is its header."""

    number: int
    cells: list[str]
    reasons: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class BadCell:
    row: int
    column: str
    value: str
    reason: str


@dataclass
class Report:
    table: Table
    columns: tuple[str, ...]
    names: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[Change]] = field(default_factory=lambda: {CHANGED: [], NEW: [], SAME: []})
    bad: list[BadRow] = field(default_factory=list)
    missing_count: int = 0
    missing_shown: list[Any] = field(default_factory=list)
    missing_unknown: bool = False
    ended_count: int = 0
    written: bool = False

    def has_errors(self) -> bool:
        return bool(self.refusals)

    def has_validation_errors(self) -> bool:
        return bool(self.bad)

    def take(self, change: Change) -> None:
        self.counts[change.kind] += 1
        if len(self.shown[change.kind]) < SHOWN_ROWS:
            self.shown[change.kind].append(change)

    @property
    def good_count(self) -> int:
        return self.counts.total()

    @property
    def changes_something(self) -> bool:
        return bool(self.counts[NEW] or self.counts[CHANGED] or self.ended_count)

    @property
    def kinds(self) -> list[tuple[str, int, list[Change], int]]:
        """Kind, how many, those to show, how many more."""
        return [
            (kind, self.counts[kind], rows, self.counts[kind] - len(rows))
            for kind, rows in self.shown.items()
            if rows
        ]

    @property
    def missing_more(self) -> int:
        return self.missing_count - len(self.missing_shown)

    @property
    def bad_cells(self) -> list[BadCell]:
        return [
            BadCell(row.number, column, self._value(row, column), reason)
            for row in self.bad[:SHOWN_ROWS]
            for column, reasons in row.reasons.items()
            for reason in reasons
        ]

    @property
    def bad_more(self) -> int:
        return max(0, len(self.bad) - SHOWN_ROWS)

    def _value(self, row: BadRow, column: str) -> str:
        return row.cells[self.names.index(column)][:200] if column in self.names else ""

    def bad_rows_file(self) -> bytes:
        """The bad rows as they came, and why: to be corrected and imported again."""
        kept = [at for at, name in enumerate(self.names) if name != PROBLEM]
        sheet = tablib.Dataset(
            headers=[*(without_formula(self.table.header[at]) for at in kept), PROBLEM]
        )
        for row in self.bad:
            sheet.append([*(row.cells[at] for at in kept), _told(row.reasons)])
        return SafeCSV().export_data(sheet)


def _told(reasons: dict[str, list[str]]) -> str:
    return " ".join(
        f"{column}: {reason}" for column, several in reasons.items() for reason in several
    )
