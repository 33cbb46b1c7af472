"""The pages of the check-in from the own device."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.client_address import client_address
from checkin.own_device.services import (
    NotAdmittedError,
    Obstacle,
    admit,
    session_of,
    sessions_for,
    standing_in,
)
from recognition.views import for_students
from roster.models import ClassSession, Student


@require_safe
@for_students
def own_check_ins(request: HttpRequest, student: Student) -> HttpResponse:
    """The sessions that are open for a check-in from here; mostly one, or none."""
    now = timezone.now()
    open_now = [(session, standing_in(student, session)) for session in sessions_for(student, now)]
    return render(request, "checkin/own_check_ins.html", {"open_now": open_now})


@require_safe
@for_students
def own_check_in(request: HttpRequest, student: Student, session_pk: int) -> HttpResponse:
    """The camera, or why there is none: recorded already, or an obstacle and the way around it."""
    now = timezone.now()
    try:
        session = session_of(student, session_pk)
    except NotAdmittedError as refusal:
        raise Http404 from refusal
    context: dict[str, Any] = {"session": session, "room": session.room}
    standing = standing_in(student, session)
    if standing is not None and not standing.may_leave(now):
        return render(request, "checkin/own_check_in.html", context | {"standing": standing})
    try:
        admit(student=student, session_pk=session_pk, address=client_address(request), at=now)
    except NotAdmittedError as refusal:
        context |= {"refusal": refusal, "way": _way_around(refusal.obstacle)}
        return render(request, "checkin/own_check_in.html", context)
    context |= {"config": _config(session), "leaving": standing is not None}
    return render(request, "checkin/own_check_in.html", context)


def _config(session: ClassSession) -> dict[str, str]:
    return {"socket_path": f"/ws/check-in/{session.pk}/", "login_url": reverse("account_login")}


def _way_around(obstacle: Obstacle) -> dict[str, str] | None:
    """Where a link leads that helps, if anything on these pages does."""
    if obstacle in (Obstacle.NO_TEMPLATE, Obstacle.NO_CONSENT):
        return {"url": reverse("face"), "text": _("Registration and consent")}
    if obstacle == Obstacle.SESSION_OVER:
        return {"url": reverse("own_attendance"), "text": _("Your attendance")}
    return None
