"""What a student is given of everything that is kept: JSON, tables, pictures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from checkin.people.kinds import KINDS, Kind, Person, picture_file
from recognition.cohort.models import PhotoImportItem
from recognition.models import RegistrationPhoto
from recognition.sealing import TemplateUnreadableError
from roster.formats import without_formula
from roster.models import Student


def own_data_json(student: Student) -> str:
    """Everything in words and numbers, and what is left out with the reason."""
    person = Person.of(student)
    content: dict[str, Any] = {
        "about": {
            "written_at": _plain(timezone.now()),
            "times": "ISO 8601, UTC",
            "left_out": {kind.name: str(kind.left_out) for kind in KINDS if kind.left_out},
        }
    }
    for kind in KINDS:
        content[kind.name] = [_plain(kind.cells(row)) for row in kind.rows(person)]
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)


def own_data_zip(student: Student) -> bytes:
    """The same as a table for each kind, with the pictures that still wait."""
    person = Person.of(student)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", _readme())
        archive.writestr("everything.json", own_data_json(student))
        for kind in KINDS:
            archive.writestr(f"tables/{kind.name}.csv", _table(kind, person))
        for name, jpeg in _pictures(person):
            archive.writestr(name, jpeg)
    return file.getvalue()


def _readme() -> str:
    lines = [
        _("Everything that Rollcall keeps about you, written on %(at)s.")
        % {"at": _plain(timezone.now())},
        _("Tables are CSV in UTF-8, times are ISO 8601 in UTC. everything.json says the same."),
        "",
    ]
    for kind in KINDS:
        lines.append(f"{kind.name}: {kind.label}. {kind.left_out}".strip())
    return "\r\n".join(lines) + "\r\n"


def _table(kind: Kind, person: Person) -> bytes:
    """With a byte order mark, without which spreadsheets read another encoding."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(kind.columns)
    for row in kind.rows(person):
        table.writerow(without_formula(_in_cell(value)) for value in kind.cells(row).values())
    return text.getvalue().encode("utf-8-sig")


def _in_cell(value: object) -> object:
    plain = _plain(value)
    if isinstance(plain, dict | list):
        return json.dumps(plain, ensure_ascii=False, default=str)
    return plain


def _plain(value: Any) -> Any:
    """Numbers, texts, truths and what is made of them; times with their zone."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _pictures(person: Person) -> Iterator[tuple[str, bytes]]:
    waiting: Iterator[RegistrationPhoto | PhotoImportItem] = chain(
        RegistrationPhoto.objects.filter(registration__student=person.pk).select_related(
            "registration"
        ),
        PhotoImportItem.objects.filter(student=person.pk).exclude(sealed_picture=b""),
    )
    for photo in waiting:
        try:
            yield picture_file(photo), photo.picture()
        except TemplateUnreadableError as error:
            yield f"{picture_file(photo)}.txt", str(error).encode()
