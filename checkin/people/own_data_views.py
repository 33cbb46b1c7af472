"""What is kept of a student, for themselves to see and take away."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.limits import within_limit
from checkin.people.kinds import Person, kept_of
from checkin.people.own_data import own_data_json, own_data_zip
from recognition.views import for_students
from roster.models import Student


@require_safe
@for_students
def own_data(request: HttpRequest, student: Student) -> HttpResponse:
    return _page(request, student)


@require_POST
@for_students
def as_zip(request: HttpRequest, student: Student) -> HttpResponse:
    if not within_limit(request, "own_data"):
        return _too_often(request, student)
    return _file(own_data_zip(student), "application/zip", "rollcall-data.zip")


@require_POST
@for_students
def as_json(request: HttpRequest, student: Student) -> HttpResponse:
    if not within_limit(request, "own_data"):
        return _too_often(request, student)
    return _file(own_data_json(student).encode(), "application/json", "rollcall-data.json")


def _page(
    request: HttpRequest, student: Student, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "student": student,
        "kept": [kept for kept in kept_of(Person.of(student)) if kept.count],
        "refusal": refusal,
        "attempts_kept": _in_words(settings.ATTEMPT_RETENTION_DAYS),
        "attendance_kept": _in_words(settings.RECORD_RETENTION_DAYS),
    }
    return render(request, "checkin/own_data.html", context, status=status)


def _in_words(days: int) -> str:
    years = days // 365
    if years > 1:
        return _("%(count)d years") % {"count": years}
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def _too_often(request: HttpRequest, student: Student) -> HttpResponse:
    refusal = _("You have taken your data several times in this hour. Try again in an hour.")
    return _page(request, student, refusal=refusal, status=429)


def _file(content: bytes, content_type: str, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store, private"
    return response
