"""Files as people really have them: CSV of any common kind, and XLSX."""

from __future__ import annotations

import csv
from typing import Any

import tablib
from import_export.formats.base_formats import CSV, XLSX

DELIMITERS = ",;\t|"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class NoFormulas:
    """On export a cell that a spreadsheet would run as a formula is made text by an apostrophe."""

    def _escape_formulae(self, dataset: tablib.Dataset) -> None:
        for _row in range(len(dataset)):
            cells = dataset.lpop()
            dataset.append(
                [f"'{cell}" if str(cell).startswith(FORMULA_STARTS) else cell for cell in cells]
            )


class AnyCSV(NoFormulas, CSV):
    """CSV in UTF-8 with or without a byte order mark, or else Windows-1252; any usual delimiter."""

    def get_title(self) -> str:
        return "csv"

    def is_binary(self) -> bool:
        return True

    def get_read_mode(self) -> str:
        return "rb"

    def create_dataset(self, in_stream: bytes | str, **kwargs: Any) -> tablib.Dataset:
        text = in_stream if isinstance(in_stream, str) else decoded(in_stream)
        return super().create_dataset(text, delimiter=delimiter_of(text), **kwargs)


class SafeXLSX(NoFormulas, XLSX):
    pass


def decoded(content: bytes) -> str:
    """The text of a file that nobody has told the encoding of."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def delimiter_of(text: str) -> str:
    """The delimiter of the header line; a comma where there is none.

    >>> delimiter_of("student_id;name;email\\n1;Ada;")
    ';'
    """
    header = text.lstrip().partition("\n")[0]
    try:
        return csv.Sniffer().sniff(header, DELIMITERS).delimiter
    except csv.Error:
        return ","
