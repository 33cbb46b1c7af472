"""How a file becomes rows of the roster, whatever it lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from import_export.resources import ModelResource

from accounts.models import User
from roster.formats import Table
from roster.imports.progress import CHECKING, WRITING, Progress, told_to_nobody
from roster.imports.report import PROBLEM, SAME, BadRow, Change, Report

BATCH = 1000
TOLD_EVERY_ROWS = 250


class RosterResource(ModelResource):
    """Every row is checked first, without a lock; then all are written in one short transaction.

    The package would read, check and save row by row, each in a savepoint.
    """

    key: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    required: ClassVar[tuple[str, ...]]
    #: The columns of a change, where they are more than those of the file.
    told: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        user: User | None = None,
        only_good: bool = False,
        progress: Progress = told_to_nobody,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.user = user
        self.only_good = only_good
        self.progress = progress

    # What each kind of file answers for itself

    def load(self, keys: Sequence[str]) -> None:
        """Read what the roster knows about these keys."""
        raise NotImplementedError

    def change_of(self, row: dict[str, str]) -> Change:
        """What a row does.

        Raises:
            ValidationError: what is wrong, by column.
        """
        raise NotImplementedError

    def write(self, changes: list[Change]) -> None:
        """Save a batch of new and changed rows."""
        raise NotImplementedError

    def finish(self, report: Report) -> None:
        """What concerns the file as a whole, after its rows are checked."""

    def write_rest(self, report: Report) -> None:
        """What is to be written besides the rows."""

    # The way of every file

    def import_data(self, dataset: Table, dry_run: bool = False, **kwargs: Any) -> Report:
        report = Report(dataset, self.told or self.columns)
        try:
            self._read_header(report)
        except ValidationError as refusal:
            report.refusals = refusal.messages
            return report
        changes = self._checked(report)
        self.finish(report)
        if not dry_run and (self.only_good or not report.bad):
            self._write_all(changes, report)
        return report

    def _read_header(self, report: Report) -> None:
        names = [name.lower().replace(" ", "_") for name in report.table.header]
        absent = [column for column in self.required if column not in names]
        if absent:
            raise ValidationError(
                _("The column %(absent)s is missing. Got %(got)s, expected %(expected)s.")
                % {
                    "absent": ", ".join(absent),
                    "got": ", ".join(report.table.header),
                    "expected": ", ".join(self.columns),
                }
            )
        twice = [column for column in self.columns if names.count(column) > 1]
        if twice:
            raise ValidationError(
                _("The column %(twice)s stands in the header more than once. Keep one of them.")
                % {"twice": ", ".join(twice)}
            )
        report.names = names
        known = {*self.columns, *self.get_export_headers(), PROBLEM}
        report.unused = [
            header
            for name, header in zip(names, report.table.header, strict=True)
            if header and name not in known
        ]

    def _checked(self, report: Report) -> list[Change]:
        """The rows that change something; the report tells of all."""
        at = {
            column: report.names.index(column) for column in self.columns if column in report.names
        }
        rows_of_key = defaultdict(list)
        for number, cells in report.table.rows:
            rows_of_key[cells[at[self.key]]].append(number)
        self.load(list(rows_of_key))
        changes, total = [], len(report.table.rows)
        for done, (number, cells) in enumerate(report.table.rows):
            if done % TOLD_EVERY_ROWS == 0:
                self.progress(CHECKING, done, total)
            row = {column: cells[at[column]] if column in at else "" for column in self.columns}
            try:
                self._check_cells(row, rows_of_key[row[self.key]])
                change = self.change_of(row)
            except ValidationError as error:
                report.bad.append(BadRow(number, cells, error.message_dict))
                continue
            report.take(change)
            if change.kind != SAME:
                changes.append(change)
        self.progress(CHECKING, total, total)
        return changes

    def _check_cells(self, row: dict[str, str], same_key: list[int]) -> None:
        wrong = {
            column: _("A formula cannot be imported. Write its value.")
            for column, cell in row.items()
            if cell.startswith("=")
        }
        wrong |= {column: _("This is missing.") for column in self.required if not row[column]}
        if row[self.key] and len(same_key) > 1:
            wrong[self.key] = _("This stands in the file more than once, in the rows %(rows)s.") % {
                "rows": ", ".join(map(str, same_key[:10]))
            }
        if wrong:
            raise ValidationError(wrong)

    def _write_all(self, changes: list[Change], report: Report) -> None:
        total = len(changes)
        try:
            with transaction.atomic():
                for done, batch in batches_of(changes):
                    self.progress(WRITING, done, total)
                    self.write(batch)
                self.write_rest(report)
        except IntegrityError:
            report.refusals = [
                _(
                    "Somebody else changed the same rows at this moment, so nothing was written. "
                    "Choose the file again."
                )
            ]
            return
        self.progress(WRITING, total, total)
        report.written = True


def batches_of(rows: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Pieces of a size that a statement can take, each with the number of rows before it."""
    for start in range(0, len(rows), BATCH):
        yield start, rows[start : start + BATCH]
