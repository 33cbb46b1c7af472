"""An import as its two pages do it."""

from __future__ import annotations

import io

import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from roster.models import Course


def preview(
    client: Client,
    model: str,
    content: str | bytes,
    *,
    name: str = "list.csv",
    **choices: object,
) -> HttpResponse:
    content = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile(name, content)
    return client.post(
        reverse(f"admin:roster_{model}_import"),
        {"resource": "0", "format": "0", "import_file": file, **choices},
    )


def preview_list(
    client: Client, course: Course, content: str | bytes, **choices: object
) -> HttpResponse:
    return preview(client, "courseenrolment", content, course=course.pk, **choices)


def confirm(client: Client, previewed: HttpResponse, **changes: object) -> HttpResponse:
    """Send the form of a preview, of its good rows where some are bad."""
    context = previewed.context
    form = context.get("confirm_form") or context["good_rows_form"]
    values = {field.name: field.value() for field in form if field.value()}
    address = f"admin:roster_{context['opts'].model_name}_process_import"
    return client.post(reverse(address), values | changes)


def confirm_good_rows(client: Client, previewed: HttpResponse) -> HttpResponse:
    return confirm(client, previewed, only_good="on")


def bad_rows_of(client: Client, previewed: HttpResponse) -> bytes:
    return client.get(previewed.context["bad_rows_address"]).content


def rows_in(csv_file: bytes) -> list[dict[str, str]]:
    text = io.StringIO(csv_file.decode("utf-8-sig"))
    return tablib.Dataset().load(text, format="csv").dict
