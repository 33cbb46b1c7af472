"""Django's admin as the lecturer's desk: what its entry page shows, and in which order.

Whether a number is shown is asked of the admin page that it leads to: nobody is told how many
rows there are of what they may not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from checkin import desk as questions
from checkin.alerts.models import Alert
from checkin.alerts.services import open_alerts
from checkin.appeals.models import Appeal
from checkin.appeals.services import open_appeals
from checkin.models import Attendance, CheckinAttempt, Kiosk, ReportExport
from checkin.notices.models import RecognitionInvitation
from checkin.reports.failing_recognition import failing_recognition
from recognition.models import FaceRegistration, StudentFace
from recognition.workers import active_model_id
from roster.models import ClassSession, Course, CourseEnrolment, RosterClaim, Student
from roster.selectors import courses_of

Text = str | Promise

#: The lists that a lecturer needs every day, in the header of every page.
DAILY: tuple[tuple[type[Model], Text], ...] = (
    (FaceRegistration, _("Registrations")),
    (ClassSession, _("Sessions")),
    (Attendance, _("Attendance")),
    (CourseEnrolment, _("Class lists")),
    (StudentFace, _("Faces")),
    (Alert, _("Alerts")),
    (ReportExport, _("Reports")),
)


@dataclass(frozen=True)
class ListGroup:
    """Lists that people look for in one place: all of some apps, and some models first."""

    label: str
    name: Text
    apps: frozenset[str] = frozenset()
    first: tuple[str, ...] = ()

    def position(self, model: str) -> tuple[int, str]:
        place = self.first.index(model) if model in self.first else len(self.first)
        return place, model


GROUPS = (
    ListGroup(
        "roster",
        _("Roster"),
        frozenset({"roster"}),
        ("roster.courseenrolment", "roster.student", "roster.rosterclaim", "roster.course"),
    ),
    ListGroup(
        "faces",
        _("Faces"),
        frozenset({"recognition"}),
        ("recognition.faceregistration", "recognition.studentface"),
    ),
    ListGroup(
        "attendance",
        _("Attendance"),
        frozenset({"checkin"}),
        (
            "roster.classsession",
            "roster.sessionseries",
            "roster.holiday",
            "checkin.attendance",
            "checkin.alert",
            "checkin.appeal",
            "checkin.checkinattempt",
            "checkin.entrypass",
            "checkin.passuse",
            "checkin.kiosk",
            "integrations.exportprofile",
            "integrations.exportschedule",
            "integrations.exportrun",
            "roster.periodlock",
        ),
    ),
    ListGroup(
        "system",
        _("System"),
        frozenset({"accounts", "auth", "integrations"}),
        ("mfa.authenticator",),
    ),
)
#: What packages keep for themselves. Only superusers are shown the way there.
TECHNICAL = ListGroup("technical", _("Behind the scenes"))


def group_of(model: str) -> ListGroup:
    """Where a model, like ``roster.student``, is looked for: a name goes before its app."""
    app = model.partition(".")[0]
    named = (group for group in GROUPS if model in group.first)
    by_app = (group for group in GROUPS if app in group.apps)
    return next(named, None) or next(by_app, TECHNICAL)


class Desk(admin.AdminSite):
    """The admin site of `attendance_site.apps.DeskConfig`."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """In groups that say what for, instead of by the app that the code lives in."""
        apps = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        shown = (*GROUPS, TECHNICAL) if cast(User, request.user).is_superuser else GROUPS
        groups: dict[ListGroup, list[Any]] = {group: [] for group in shown}
        names = dict(DAILY)
        for model in (model for app in apps for model in app["models"]):
            model["name"] = names.get(model["model"], model["name"])
            groups.get(group_of(model["model"]._meta.label_lower), []).append(model)
        return [_as_app(group, models) for group, models in groups.items() if models]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        daily = ((self.list_of(request, model), name) for model, name in DAILY)
        return {
            **super().each_context(request),
            "daily_lists": [(address, name) for address, name in daily if address],
        }

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        return super().index(request, {**self._entry_page(request), **(extra_context or {})})

    def list_of(self, request: HttpRequest, model: type[Model]) -> str:
        """The address of a model's list; empty if the user may not open it."""
        model_admin = self._registry.get(model)
        if model_admin is None or not model_admin.has_view_or_change_permission(request):
            return ""
        return reverse(f"{self.name}:{_url_name(model)}_changelist")

    def form_for_new(self, request: HttpRequest, model: type[Model]) -> str:
        """The address of the form that adds a row; empty if the user may not."""
        model_admin = self._registry.get(model)
        if model_admin is None or not model_admin.has_add_permission(request):
            return ""
        return reverse(f"{self.name}:{_url_name(model)}_add")

    def class_list_import(self, request: HttpRequest) -> str:
        model_admin: Any = self._registry[CourseEnrolment]
        if not model_admin.has_import_permission(request):
            return ""
        return reverse(f"{self.name}:{_url_name(CourseEnrolment)}_import")

    def _entry_page(self, request: HttpRequest) -> dict[str, Any]:
        user, at = cast(User, request.user), timezone.now()
        lists = {
            "registrations": self.list_of(request, FaceRegistration),
            "claims": self.list_of(request, RosterClaim),
            "appeals": self.list_of(request, Appeal),
            "sessions": self.list_of(request, ClassSession),
            "attendance": self.list_of(request, Attendance),
            "attempts": self.list_of(request, CheckinAttempt),
            "alerts": self.list_of(request, Alert),
            "kiosks": self.list_of(request, Kiosk),
            "faces": self.list_of(request, StudentFace),
            "courses": self.list_of(request, Course),
            "students": self.list_of(request, Student),
            "failing": self.list_of(request, RecognitionInvitation),
        }
        return {
            "now": at,
            "lists": lists,
            "new_course": self.form_for_new(request, Course),
            "new_session": self.form_for_new(request, ClassSession),
            "class_list_import": self.class_list_import(request),
            **_waiting(user, lists, at),
            **_classes(user, lists, at),
        }


def _waiting(user: User, lists: dict[str, str], at: datetime) -> dict[str, Any]:
    registrations = questions.waiting_registrations(user) if lists["registrations"] else None
    claims = list(questions.waiting_claims(user)) if lists["claims"] else []
    appeals = list(open_appeals(user)) if lists["appeals"] else []
    return {
        "registrations": registrations,
        "oldest_registrations": [
            (registration, questions.waiting_for(registration.waits_since, at=at))  # type: ignore[attr-defined]
            for registration in (registrations.oldest if registrations else [])
        ],
        "claims": claims,
        "appeals": appeals,
        "oldest_appeal": questions.waiting_for(appeals[0].opened_at, at=at) if appeals else "",
        "oldest_claim": questions.waiting_for(claims[0].made_at, at=at) if claims else "",
        "nothing_waits": not claims and not appeals and not (registrations and registrations.count),
    }


def _classes(user: User, lists: dict[str, str], at: datetime) -> dict[str, Any]:
    model_id = active_model_id()
    today = questions.sessions_today(user, at=at) if lists["sessions"] else []
    covered = (
        questions.coverage(user, at=at, model_id=model_id)
        if lists["faces"] and lists["courses"]
        else []
    )
    unrecognisable = {row.course.pk for row in covered if row.total and not row.ready}
    open_now = [row.session for row in today if row.state == "open"]
    alerts = {
        "open": open_alerts(user).count() if lists["alerts"] else 0,
        "missed_kiosks": [
            (missed.kiosk, missed.session, _last_seen(missed.kiosk, at))
            for missed in questions.missed_kiosks(open_now, at=at)
        ],
        "ailing_kiosks": questions.ailing_kiosks(open_now, at=at),
        "refusals": questions.repeated_refusals([row.session for row in today])
        if lists["attempts"]
        else [],
        "blind_sessions": [row for row in open_now if row.course_id in unrecognisable],
        "re_enrol": questions.must_re_enrol(user, at=at, model_id=model_id)
        if lists["faces"]
        else 0,
        "failing": len(failing_recognition(courses_of(user), at=at, model_id=model_id))
        if lists["failing"]
        else 0,
    }
    return {
        "today": today,
        "next_session": questions.next_session(user, at=at)
        if lists["sessions"] and not today
        else None,
        "alerts": alerts,
        "nothing_alarms": not any(alerts.values()),
        "coverage": [(row, _parts(row)) for row in covered],
        "days": questions.attendance_by_day(user, at=at)
        if lists["attendance"] and lists["sessions"]
        else [],
    }


def _parts(row: questions.CourseCoverage) -> list[dict[str, Any]]:
    """The pieces of a course's bar, from the left, in students."""
    parts, start = [], 0
    for code, (_sign, text) in _recognisability().items():
        if count := row.counts[code]:
            parts.append({"code": code, "text": text, "start": start, "count": count})
            start += count
    return parts


def _recognisability() -> Mapping[str, tuple[str, Text]]:
    # Imported late: that module registers itself at the site which is being made from this one.
    from recognition.admin.faces import RECOGNISABILITY

    return RECOGNISABILITY


def _last_seen(kiosk: Kiosk, at: datetime) -> str:
    return questions.waiting_for(kiosk.last_seen_at, at=at) if kiosk.last_seen_at else ""


def _url_name(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def _as_app(group: ListGroup, models: list[Any]) -> dict[str, Any]:
    """As the admin's templates want it."""
    models.sort(key=lambda model: group.position(model["model"]._meta.label_lower))
    return {
        "name": group.name,
        "app_label": group.label,
        "app_url": reverse("admin:index"),
        "has_module_perms": True,
        "models": models,
    }
