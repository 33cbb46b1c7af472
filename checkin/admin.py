from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from checkin.alerts.admin import AlertAdmin as AlertAdmin  # registers itself
from checkin.appeals.admin import AppealAdmin as AppealAdmin  # registers itself
from checkin.class_photo.admin import ClassPhotoAdmin as ClassPhotoAdmin  # registers itself
from checkin.kiosks.admin import KioskAdmin as KioskAdmin  # registers itself
from checkin.live.admin import LivePages
from checkin.models import Attendance, CheckinAttempt
from checkin.people.admin import PersonAdmin as PersonAdmin  # registers itself
from checkin.period_locks.admin import PeriodLockAdmin as PeriodLockAdmin  # registers itself
from checkin.reports.admin import ReportAdmin as ReportAdmin  # registers itself
from checkin.reports.failing_admin import (
    FailingRecognitionAdmin as FailingRecognitionAdmin,  # registers itself
)
from checkin.sessions.admin import SessionAdmin as SessionAdmin  # registers itself
from checkin.sessions.filter import SessionFilter
from roster.scoping import ReadOnlyAdmin


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
