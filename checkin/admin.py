from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.lookups import OfferedLookupsOnly
from checkin.alerts.admin import AlertAdmin as AlertAdmin  # registers itself
from checkin.appeals.admin import AppealAdmin as AppealAdmin  # registers itself
from checkin.class_photo.admin import ClassPhotoAdmin as ClassPhotoAdmin  # registers itself
from checkin.live.admin import LivePages
from checkin.models import Attendance, CheckinAttempt, Kiosk
from checkin.people.admin import PersonAdmin as PersonAdmin  # registers itself
from checkin.reports.admin import ReportAdmin as ReportAdmin  # registers itself
from checkin.reports.failing_admin import (
    FailingRecognitionAdmin as FailingRecognitionAdmin,  # registers itself
)
from checkin.services import issue_kiosk_token, revoke_kiosk
from checkin.sessions.admin import SessionAdmin as SessionAdmin  # registers itself
from checkin.sessions.filter import SessionFilter
from roster.scoping import ReadOnlyAdmin


class KioskForm(ModelForm):
    class Meta:
        model = Kiosk
        fields = ["name", "room", "courses"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("room") and not cleaned.get("courses"):
            self.add_error(
                "room", _("Choose a room or at least one course: otherwise it serves nobody.")
            )
        return cleaned


@admin.register(Kiosk)
class KioskAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    form = KioskForm
    list_display = ["name", "room", "last_seen_at", "active"]
    list_filter = ["room", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["room"]
    search_fields = ["name", "room__name"]
    filter_horizontal = ["courses"]
    actions = ["renew_token", "revoke"]

    @admin.display(description=_("active"), boolean=True)
    def active(self, kiosk: Kiosk) -> bool:
        return kiosk.revoked_at is None

    def response_add(
        self, request: HttpRequest, obj: Kiosk, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._token_page(request, obj)

    @admin.action(description=_("New token (ends the old one)"), permissions=["change"])
    def renew_token(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> HttpResponse | None:
        if kiosks.count() != 1:
            self.message_user(request, _("Choose one kiosk: a token is shown once."), "ERROR")
            return None
        return self._token_page(request, kiosks.get())

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, kiosks: QuerySet[Kiosk]) -> None:
        for kiosk in kiosks:
            revoke_kiosk(kiosk)
        self.message_user(request, _("The kiosks were shut out."))

    def _token_page(self, request: HttpRequest, kiosk: Kiosk) -> HttpResponse:
        """Show a fresh token in the answer itself: a redirect would have to keep it somewhere."""
        token = issue_kiosk_token(kiosk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Token of the kiosk"),
            "kiosk": kiosk,
            "token": token,
            "kiosk_url": f"{request.build_absolute_uri(reverse('kiosk'))}#{token}",
        }
        response = render(request, "admin/checkin/kiosk_token.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response


@admin.register(Attendance)
class AttendanceAdmin(LivePages):
    course_path = "session__course"
    list_display = ["student", "course", "starts", "status", "arrived", "method", "kiosk"]
    list_filter = [
        SessionFilter,
        ("session__course", admin.RelatedOnlyFieldListFilter),
        "status",
        "method",
        "session__starts_at",
    ]
    list_select_related = ["student", "session__course", "kiosk"]
    search_fields = ["student__name", "student__student_id"]
    date_hierarchy = "arrived_at"

    @admin.display(description=_("course"), ordering="session__course__code")
    def course(self, attendance: Attendance) -> str:
        return attendance.session.course.code

    @admin.display(description=_("session"), ordering="session__starts_at")
    def starts(self, attendance: Attendance) -> str:
        return attendance.session.clock(attendance.session.starts_at)

    @admin.display(description=_("arrived"), ordering="arrived_at")
    def arrived(self, attendance: Attendance) -> str:
        if attendance.arrived_at is None:
            return "–"
        return attendance.session.clock(attendance.arrived_at)


@admin.register(CheckinAttempt)
class CheckinAttemptAdmin(ReadOnlyAdmin):
    course_path = "session__course"
    list_display = ["at", "outcome", "reason", "student", "session", "kiosk", "figures"]
    list_filter = [
        SessionFilter,
        "outcome",
        "reason",
        ("kiosk", admin.RelatedOnlyFieldListFilter),
        "at",
    ]
    list_select_related = ["student", "session__course", "kiosk"]
    search_fields = ["student__name", "student__student_id"]
    date_hierarchy = "at"
    exclude = ["template"]

    @admin.display(description=_("similarity / threshold"))
    def figures(self, attempt: CheckinAttempt) -> str:
        if attempt.similarity is None or attempt.threshold is None:
            return "–"
        return f"{attempt.similarity:.3f} / {attempt.threshold:.3f}"
