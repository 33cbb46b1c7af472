"""Files as people really have them: CSV of any common kind, and XLSX."""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import tablib
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from import_export.formats.base_formats import CSV, XLSX, Format

DELIMITERS = ",;\t|"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_UNPACKED_BYTES = 50 * 1024 * 1024
MAX_CHARACTERS = 20_000_000
MAX_ROWS = 50_000
MAX_COLUMNS = 100
XLSX_ROWS = 1_048_576  # what a sheet can have; a damaged one may claim any number

#: How files start that are often taken for a table.
OTHER_KINDS = {
    b"%PDF": "PDF",
    b"\xd0\xcf\x11\xe0": "Excel 97 (.xls)",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"{\\rtf": "RTF",
}


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a file as text. A row has its number in the file and a cell per column."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


class AnyTable(Format):
    """CSV or XLSX, told apart by content and not by name."""

    def get_title(self) -> str:
        return "CSV / XLSX"

    def can_import(self) -> bool:
        return True

    def create_dataset(self, in_stream: bytes) -> Table:
        return read_table(in_stream)


class NoFormulas:
    """On export a cell that a spreadsheet would run as a formula is made text by an apostrophe."""

    def _escape_formulae(self, dataset: tablib.Dataset) -> None:
        for _row in range(len(dataset)):
            dataset.append([without_formula(cell) for cell in dataset.lpop()])


class SafeCSV(NoFormulas, CSV):
    """UTF-8 with a byte order mark: spreadsheets would take it for Windows-1252 without."""

    def is_binary(self) -> bool:
        return True

    def export_data(self, dataset: tablib.Dataset, **kwargs: Any) -> bytes:
        return super().export_data(dataset, **kwargs).encode("utf-8-sig")


class SafeXLSX(NoFormulas, XLSX):
    pass


def without_formula(cell: Any) -> Any:
    return f"'{cell}" if str(cell).startswith(FORMULA_STARTS) else cell


def read_table(content: bytes) -> Table:
    """The table in a file.

    Raises:
        ValidationError: it is no table, or too large a one.
    """
    for start, kind in OTHER_KINDS.items():
        if content.startswith(start):
            raise ValidationError(
                _("The kind of this file is %(kind)s. Save it as CSV or XLSX and choose that one.")
                % {"kind": kind}
            )
    if content.startswith(b"PK"):
        return _table_of(_xlsx_lines(content))
    return _table_of(_csv_lines(decoded(content)))


def decoded(content: bytes) -> str:
    """The text of a file that nobody has told the encoding of.

    Raises:
        ValidationError: it is no text.
    """
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        raise ValidationError(
            _("This file is neither CSV nor XLSX. Save the table as one of them.")
        )
    return text


def delimiter_of(text: str) -> str:
    """The most frequent delimiter of the header line; a comma where there is none.

    >>> delimiter_of("student_id;name;email\\n1;Lovelace, Ada;")
    ';'
    """
    header = text.lstrip().partition("\n")[0]
    return max(DELIMITERS, key=header.count)


def _csv_lines(text: str) -> Iterator[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text))
    try:
        yield from lines
    except csv.Error as error:
        raise ValidationError(
            _(
                "Line %(line)d cannot be read as CSV. Is there a quotation mark that is never "
                "closed?"
            )
            % {"line": lines.line_num}
        ) from error


def _xlsx_lines(content: bytes) -> Iterator[Sequence[Any]]:
    _check_workbook(content)
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    # The bounds are ours: what a sheet says about its size may be wrong.
    return book.active.iter_rows(
        min_row=1, max_row=XLSX_ROWS, max_col=MAX_COLUMNS + 1, values_only=True
    )


def _check_workbook(content: bytes) -> None:
    """Look at the directory of the ZIP only. Its sizes hold: Python unpacks no more than them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
            is_workbook = "xl/workbook.xml" in parts.namelist()
    except zipfile.BadZipFile:
        raise ValidationError(_("This file is damaged. Save it as XLSX or CSV again.")) from None
    if not is_workbook:
        raise ValidationError(_("This is a ZIP file but no XLSX workbook. Save it as XLSX or CSV."))
    if unpacked > MAX_UNPACKED_BYTES:
        raise ValidationError(
            _("Unpacked, this workbook has %(got)s; at most %(most)s are read. Save it as CSV.")
            % {"got": filesizeformat(unpacked), "most": filesizeformat(MAX_UNPACKED_BYTES)}
        )


def _table_of(lines: Iterable[Sequence[Any]]) -> Table:
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    characters = 0
    for number, line in enumerate(lines, 1):
        cells = _without_blank_end([as_text(cell) for cell in line])
        characters += sum(map(len, cells))
        if not cells:
            continue
        if not header:
            header = cells
            _check_width(header)
            continue
        _check_row(number, cells, header)
        rows.append((number, cells + [""] * (len(header) - len(cells))))
        if len(rows) > MAX_ROWS or characters > MAX_CHARACTERS:
            raise ValidationError(
                _("This file is too long: at most %(rows)s rows are read. Divide it.")
                % {"rows": f"{MAX_ROWS:,}"}
            )
    if not header:
        raise ValidationError(_("This file is empty. The first row must name the columns."))
    if not rows:
        raise ValidationError(
            _("This file has a header and no rows below it. Got the columns %(got)s.")
            % {"got": ", ".join(header)}
        )
    return Table(header, rows)


def _check_width(header: list[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise ValidationError(
            _("This file has more than %(most)d columns. Keep only those that are imported.")
            % {"most": MAX_COLUMNS}
        )


def _check_row(number: int, cells: list[str], header: list[str]) -> None:
    if len(cells) > len(header):
        raise ValidationError(
            _(
                "Row %(row)d has %(got)d cells, but the header has %(expected)d. Put a value that "
                "contains the delimiter in quotation marks."
            )
            % {"row": number, "got": len(cells), "expected": len(header)}
        )


def _without_blank_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def as_text(cell: Any) -> str:
    """A cell as it was written.

    A spreadsheet turns the number 1001 into 1001.0, and our own export has put an apostrophe
    before what looked like a formula.

    >>> as_text(1001.0), as_text("'-5 "), as_text("'tHooft"), as_text(None)
    ('1001', '-5', "'tHooft", '')
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text
