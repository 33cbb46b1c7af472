"""The student's own pass: the code that changes every 30 s, and the one that was mailed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.limits import within_limit
from accounts.models import User
from checkin.models import Attendance
from checkin.passes.models import EntryPass
from checkin.passes.selectors import in_zone_of, next_for_pass, open_for_pass
from checkin.passes.services import (
    STEP_S,
    NoAddressError,
    issue_pass,
    ms_until_next_step,
    qr_of,
    rotating_payload,
)
from recognition.views import for_students
from roster.models import ClassSession, EntryPolicy, Student
from roster.selectors import address_of

HOUR_MS = 3_600_000


@require_safe
@for_students
def own_pass(request: HttpRequest, student: Student) -> HttpResponse:
    at = timezone.now()
    sessions = open_for_pass(student, at)
    asked = request.GET.get("session", "")
    session = next((one for one in sessions if str(one.pk) == asked), None)
    session = session or next(iter(sessions), None)
    upcoming = None if session else next_for_pass(student, at)
    context = {
        "student": student,
        "sessions": sessions,
        "session": session,
        "code": _code(student, session, at) if session else None,
        "step_s": STEP_S,
        "with_face": session and session.entry_policy == EntryPolicy.FACE_AND_PASS,
        "upcoming": upcoming,
        "opens_in_ms": _opens_in_ms(upcoming, at),
        **_mailed(student, at),
    }
    return render(request, "checkin/own_pass.html", context)


@require_safe
@for_students
def own_pass_code(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    """What the page shows next: only for the open sessions of the own classes."""
    at = timezone.now()
    session = next((one for one in open_for_pass(student, at) if one.pk == session_pk), None)
    if session is None:
        raise Http404
    return JsonResponse(_code(student, session, at))


@require_POST
@for_students
def mail_own_pass(request: HttpRequest, student: Student) -> HttpResponse:
    if not within_limit(request, "entry_pass"):
        messages.error(
            request,
            _("That were many passes in a short time. Try again in an hour, or ask a lecturer."),
        )
        return redirect("own_pass")
    try:
        issue_pass(student=student, by=cast(User, request.user), at=timezone.now())
    except NoAddressError as refusal:
        messages.error(request, str(refusal))
    else:
        text = _("A pass is on its way to %(address)s.") % {"address": address_of(student)}
        messages.success(request, text)
    return redirect("own_pass")


def _code(student: Student, session: ClassSession, at: datetime) -> dict[str, Any]:
    """The picture, how long it is the newest, and what the door has recorded so far."""
    payload = rotating_payload(student=student, session=session, at=at)
    return {
        # The page's white card makes up for the rest of the border that a reader needs.
        "image": qr_of(payload).svg_data_uri(border=2, light="#fff", omitsize=True),
        "renew_ms": ms_until_next_step(at),
        "recorded": _recorded(student, session),
    }


def _recorded(student: Student, session: ClassSession) -> str:
    came = [Attendance.Status.PRESENT, Attendance.Status.LATE]
    row = Attendance.objects.filter(student=student, session=session, status__in=came).first()
    if row is None or row.arrived_at is None:
        return ""
    words = {"status": row.get_status_display(), "time": _time(row.arrived_at, session)}
    text = _("You are marked %(status)s, %(time)s.") % words
    if row.left_at is not None:
        left = _("You left at %(time)s.") % {"time": _time(row.left_at, session)}
        return f"{text} {left}"
    if session.check_out:
        return f"{text} " + _("Show the code again when you leave.")
    return text


def _time(moment: datetime, session: ClassSession) -> str:
    return f"{timezone.localtime(moment, session.course.zone):%H:%M}"


def _opens_in_ms(upcoming: ClassSession | None, at: datetime) -> int | None:
    """Where it is worth waiting for, on the page that then shows the code."""
    if upcoming is None:
        return None
    wait_ms = int((upcoming.opens_at - at).total_seconds() * 1000)
    return wait_ms if wait_ms < 6 * HOUR_MS else None


def _mailed(student: Student, at: datetime) -> dict[str, Any]:
    newest = EntryPass.objects.filter(student=student).order_by("-issued_at", "-pk").first()
    context: dict[str, Any] = {"address": address_of(student)}
    if newest is None:
        return context

    def clock(moment: datetime | None) -> str:
        return in_zone_of(student, moment) if moment else ""

    return {
        **context,
        "mailed": newest,
        "mailed_state": newest.state(at).value,
        "issued": clock(newest.issued_at),
        "expires": clock(newest.expires_at),
        "used": clock(newest.used_at),
        "revoked": clock(newest.revoked_at),
    }
