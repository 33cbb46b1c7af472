"""A student's page of one record: what it rests on, “not me”, and the appeal."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from checkin.appeals.evidence import Record, newest_attempt, record_of
from checkin.appeals.models import MAX_TEXT_LENGTH, Appeal
from checkin.appeals.not_me import NotMeRefusedError, disown, is_undone_by_it, not_me_until
from checkin.appeals.services import (
    AppealRefusedError,
    last_day_of,
    may_withdraw,
    open_appeal,
    why_not_to_ask,
    withdraw_appeal,
)
from checkin.models import CheckinAttempt
from recognition.views import for_students
from roster.models import Student


class AppealForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("What is wrong?"),
        max_length=MAX_TEXT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=gettext_lazy("Your lecturer reads it."),
        error_messages={"required": gettext_lazy("Write what is wrong: your lecturer reads it.")},
    )


@require_safe
@for_students
def own_record(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    return _page(request, student, _own(session_pk, student), AppealForm())


@require_POST
@for_students
def ask(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    """Open an appeal; what is wrong with it is said beside the text, which stays."""
    record = _own(session_pk, student)
    form = AppealForm(request.POST)
    if not form.is_valid():
        return _page(request, student, record, form)
    try:
        open_appeal(
            session=record.session,
            student=student,
            text=form.cleaned_data["text"],
            at=timezone.now(),
        )
    except AppealRefusedError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Your appeal was sent. You get a mail when it is decided."))
    return redirect("own_record", session_pk)


@require_POST
@for_students
def withdraw(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    record = _own(session_pk, student)
    appeal = get_object_or_404(
        Appeal, session=record.session, student=student, status=Appeal.Status.OPEN
    )
    try:
        withdraw_appeal(appeal=appeal, at=timezone.now())
    except AppealRefusedError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Your appeal is withdrawn."))
    return redirect("own_record", session_pk)


@require_POST
@for_students
def not_me(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    """The owner of the account says that the check-in which the page showed was somebody else."""
    record = _own(session_pk, student)
    sought = request.POST.get("attempt", "")
    attempts = CheckinAttempt.objects.filter(session=record.session, student=student)
    attempt = get_object_or_404(
        attempts.select_related("session", "student__user"),
        pk=sought if sought.isdecimal() and len(sought) < 19 else None,
    )
    try:
        disown(attempt=attempt, at=timezone.now(), at_kiosk=False)
    except NotMeRefusedError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The check-in was undone. Your lecturer looks at it."))
    return redirect("own_record", session_pk)


def _own(session_pk: int, student: Student) -> Record:
    record = record_of(session_pk, student)
    if record is None:
        raise Http404
    return record


def _page(request: HttpRequest, student: Student, record: Record, form: AppealForm) -> HttpResponse:
    at, session = timezone.now(), record.session
    appeal = next((one for one in record.appeals if one.is_open), None)
    context: dict[str, Any] = {
        "student": student,
        "record": record,
        "session": session,
        "course": session.course,
        "form": form,
        "open_appeal": appeal,
        "may_withdraw": appeal is not None and may_withdraw(appeal),
        "why_not": why_not_to_ask(session, student, at),
        "last_day": last_day_of(session),
        "disownable": _disownable(record, student),
    }
    return render(request, "checkin/own_record.html", context)


def _disownable(record: Record, student: Student) -> CheckinAttempt | None:
    """The check-in that a "not me" would undo now."""
    at, session = timezone.now(), record.session
    if at >= not_me_until(session) or session.is_locked(at):
        return None
    attempt = newest_attempt(session, student)
    return attempt if attempt is not None and is_undone_by_it(attempt) else None
