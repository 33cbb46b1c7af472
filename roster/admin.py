from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import ClassSession, Course, CourseEnrolment, Room, Student
from roster.scoping import CourseScopedAdmin


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    search_fields = ["name"]


class CourseEnrolmentInline(admin.TabularInline):
    model = CourseEnrolment
    extra = 0
    autocomplete_fields = ["student"]


@admin.register(Student)
class StudentAdmin(CourseScopedAdmin):
    course_path = "enrolments__course"
    list_display = ["name", "student_id", "email"]
    list_filter = [("courses", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["name", "student_id", "email"]
    autocomplete_fields = ["user"]


@admin.register(Course)
class CourseAdmin(CourseScopedAdmin):
    course_path = "pk"
    list_display = ["code", "title", "student_count", "timezone"]
    ordering = ["code"]  # a counting query does not take the model's
    search_fields = ["code", "title"]
    filter_horizontal = ["lecturers"]
    inlines = [CourseEnrolmentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return super().get_queryset(request).annotate(Count("enrolments"))

    @admin.display(description=_("students"), ordering="enrolments__count")
    def student_count(self, course: Course) -> int:
        return course.enrolments__count  # type: ignore[attr-defined]


@admin.register(ClassSession)
class ClassSessionAdmin(CourseScopedAdmin):
    list_display = ["__str__", "room", "ends", "open_now"]
    list_filter = [("course", admin.RelatedOnlyFieldListFilter), "room", "starts_at"]
    list_select_related = ["course", "room"]
    search_fields = ["course__code", "course__title"]
    date_hierarchy = "starts_at"
    actions = ["close_now", "reopen"]

    @admin.display(description=_("ends"))
    def ends(self, session: ClassSession) -> str:
        return f"{timezone.localtime(session.ends_at, session.course.zone):%H:%M}"

    @admin.display(description=_("open now"), boolean=True)
    def open_now(self, session: ClassSession) -> bool:
        return session.is_open(timezone.now())

    @admin.action(description=_("Close now"), permissions=["change"])
    def close_now(self, request: HttpRequest, sessions: QuerySet[ClassSession]) -> None:
        count = sessions.filter(closed_at=None).update(closed_at=timezone.now())
        self.message_user(request, _("%(count)d sessions were closed.") % {"count": count})

    @admin.action(description=_("Open again"), permissions=["change"])
    def reopen(self, request: HttpRequest, sessions: QuerySet[ClassSession]) -> None:
        count = sessions.exclude(closed_at=None).update(closed_at=None)
        self.message_user(request, _("%(count)d sessions were opened again.") % {"count": count})
