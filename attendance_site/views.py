"""The pages that belong to no single app."""

from __future__ import annotations

import sys

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from accounts.models import User
from attendance_site.next_step import has_answered, next_step, standing_of
from checkin.own_device.services import sessions_to_enter
from roster.models import ClassSession, Student


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    user = request.user
    context = {}
    if isinstance(user, User) and not user.is_staff:
        standing = standing_of(user)
        context = {
            "next_step": next_step(user, standing),
            "may_get_app": standing is not None and has_answered(standing),
            "check_ins": _check_ins_of(user),
        }
    return render(request, "home.html", context)


def _check_ins_of(user: User) -> list[ClassSession]:
    """The open sessions at which the own device can check in or out, mostly one or none."""
    student: Student | None = getattr(user, "student", None)
    return sessions_to_enter(student, timezone.now()) if student else []


@require_safe
@never_cache
@login_required
def get_app(request: HttpRequest) -> HttpResponse:
    """For staff, and for students once they have said yes or no to their face being used."""
    standing = standing_of(request.user)
    if request.user.is_staff or (standing is not None and has_answered(standing)):
        return render(request, "get_app.html")
    messages.info(request, _("The app comes after the registration. Do this first, here."))
    return redirect("face")


def server_error(request: HttpRequest) -> HttpResponse:
    """What is away for a moment, as during a restart, is no fault: clients may try again."""
    # Without the request: what the page would ask about it may be what is away.
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError | RedisError):
        return HttpResponse(render_to_string("500.html"), status=500)
    page = render_to_string("500.html", {"away": True})
    return HttpResponse(page, status=503, headers={"Retry-After": "5"})
