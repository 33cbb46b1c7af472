"""Whatever is chosen as a file: a sentence that helps, never an error page."""

from __future__ import annotations

import io
import struct
import zipfile

import openpyxl
import pytest
import tablib
from django.test import Client

from roster.formats import MAX_FILE_BYTES, MAX_ROWS
from roster.models import Course, Student
from tests.roster.by_file import confirm, preview_list


def workbook(*rows: tuple[object, ...]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def zipped(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


BOMB = zipped(**{"xl/workbook.xml": b"<x/>", "xl/worksheets/sheet1.xml": b" " * 60_000_000})


def lying_bomb() -> bytes:
    """Its directory says that the sheet has ten bytes."""
    return BOMB.replace(struct.pack("<L", 60_000_000), struct.pack("<L", 10))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The submitted file is empty"),
        (b"\n \n", "This file is empty"),
        (b"student_id,name,email\n", "has a header and no rows below it"),
        (b"a" * (MAX_FILE_BYTES + 1), "at most 10.0\xa0MB are read"),
        (b"%PDF-1.7\n...", "The kind of this file is PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "The kind of this file is Excel 97 (.xls)"),
        (b"\x00\x01\x02", "neither CSV nor XLSX"),
        (b"PK\x03\x04 and no more", "This file is damaged"),
        (zipped(readme=b"hello"), "a ZIP file but no XLSX workbook"),
        (zipped(**{"xl/workbook.xml": b"<x/>"}), "cannot be read"),
        (BOMB, "Unpacked, this workbook has 57.2\xa0MB; at most 50.0\xa0MB are read"),
        (lying_bomb(), "cannot be read"),
        (workbook(), "This file is empty"),
        (workbook(("student_id", "name")), "has a header and no rows below it"),
        (b"student_id,name\nS-1,Lovelace, Ada\n", "Row 2 has 3 cells, but the header has 2"),
        (b'student_id,name\nS-1,"' + b"Ada\n" * 40_000, "a quotation mark that is never closed"),
        (b"student_id,name\n" + b"S,A\n" * (MAX_ROWS + 1), "at most 50,000 rows are read"),
        (b"student_id,name" + b",x" * 100 + b"\nS-1,Ada\n", "more than 100 columns"),
        (b"student_id,name,Name\nS-1,Ada,Ada\n", "The column name stands in the header more than"),
        (b"\xff\xd8\xff\xe0 JFIF", "The kind of this file is JPEG"),
    ],
    # A workbook made here holds the time, and an id must be the same in each test process.
    ids=lambda argument: argument if isinstance(argument, str) else "file",
)
def test_what_is_no_class_list_is_refused_in_words(
    as_alice: Client, math: Course, content: bytes, sentence: str
) -> None:
    answer = preview_list(as_alice, math, content, name="list.xlsx")

    assert answer.status_code == 200
    assert sentence in answer.content.decode().replace("&nbsp;", "\xa0")
    assert "confirm_form" not in answer.context
    assert not Student.objects.exists()


def test_every_row_of_a_double_number_is_told_where_the_others_are(
    as_alice: Client, math: Course
) -> None:
    content = "student_id,name\nS-1,Ada\n\nS-2,Bo\nS-1,Cy\n"
    result = preview_list(as_alice, math, content).context["result"]

    assert [row.number for row in result.bad] == [2, 5]
    assert "in the rows 2, 5" in result.bad[0].reasons["student_id"][0]


def test_a_workbook_gives_the_values_of_its_formulas_and_the_gaps_do_not_matter(
    as_alice: Client, math: Course
) -> None:
    rows = [("Student ID", "Name", None), (1001.0, "Ada", None), (None, None), ("007", "Bond")]
    confirm(as_alice, preview_list(as_alice, math, workbook(*rows)))

    assert set(Student.objects.values_list("student_id", "name")) == {
        ("1001", "Ada"),
        ("007", "Bond"),
    }


def test_a_formula_without_a_value_is_a_bad_cell(as_alice: Client, math: Course) -> None:
    content = workbook(("student_id", "name"), ("S-1", '=CONCAT("A";"da")'))
    result = preview_list(as_alice, math, content).context["result"]

    assert result.bad[0].reasons == {"name": ["This is missing."]}


def test_a_row_far_down_a_damaged_sheet_ends_the_reading(as_alice: Client, math: Course) -> None:
    """A sheet may claim any row number, and openpyxl would fill the gap row by row."""
    source = zipfile.ZipFile(io.BytesIO(workbook(("student_id", "name"), ("S-1", "Ada"))))
    parts = {name: source.read(name) for name in source.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b'r="2"', b'r="99999999999"').replace(
        b'r="A2"', b'r="A99999999999"'
    )
    answer = preview_list(as_alice, math, zipped(**parts))

    assert "has a header and no rows below it" in answer.content.decode()


def test_columns_that_are_not_used_are_named(as_alice: Client, math: Course) -> None:
    content = "student_id,name,E-Mail\nS-1,Ada,ada@example.edu\n"

    assert "Not used: the columns E-Mail." in (
        preview_list(as_alice, math, content).content.decode()
    )


def test_a_long_file_shows_the_first_rows_of_each_kind_and_counts_the_others(
    as_alice: Client, math: Course
) -> None:
    good = "".join(f"S-{number},Student {number},\n" for number in range(250))
    bad = "".join(f"X-{number},,\n" for number in range(210))
    page = preview_list(as_alice, math, "student_id,name,email\n" + good + bad).content.decode()

    assert page.count("<td>S-") == 200
    assert "and 50 more" in page
    assert page.count("✗") == 200
    assert "And 10 more rows" in page


def test_an_export_of_a_class_list_in_a_spreadsheet_is_text(
    as_alice: Client, math: Course, eileen: Student
) -> None:
    content = as_alice.get("/admin/roster/courseenrolment/export/xlsx/").content
    (row,) = tablib.Dataset().load(content, format="xlsx").dict

    assert (row["student_id"], row["name"]) == ("S-1", "Eileen Collins")
