from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportExportMixin

from roster.formats import AnyCSV, SafeXLSX
from roster.forms import ClassListImportForm, ClassSessionForm, ConfirmClassListImportForm
from roster.models import ClassSession, Course, CourseEnrolment, Room, Student
from roster.resources import ClassListResource
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
    form = ClassSessionForm
    readonly_fields = ["closed"]
    list_display = ["__str__", "room", "ends", "open_now"]
    list_filter = [("course", admin.RelatedOnlyFieldListFilter), "room", "starts_at"]
    list_select_related = ["course", "room"]
    search_fields = ["course__code", "course__title"]
    date_hierarchy = "starts_at"
    actions = ["close_now", "reopen"]

    @admin.display(description=_("ends"))
    def ends(self, session: ClassSession) -> str:
        return f"{timezone.localtime(session.ends_at, session.course.zone):%H:%M}"

    @admin.display(description=_("closed at"))
    def closed(self, session: ClassSession) -> str:
        if session.closed_at is None:
            return str(_("not closed by hand"))
        return session.clock(session.closed_at)

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


@admin.register(CourseEnrolment)
class CourseEnrolmentAdmin(ImportExportMixin, CourseScopedAdmin):
    """Class lists, with their way in and out by file."""

    resource_classes = [ClassListResource]
    import_form_class = ClassListImportForm
    confirm_form_class = ConfirmClassListImportForm
    import_template_name = "admin/roster/courseenrolment/import.html"
    formats = [AnyCSV, SafeXLSX]

    list_display = ["student", "course", "joined_on", "left_on"]
    list_filter = [
        ("course", admin.RelatedOnlyFieldListFilter),
        ("left_on", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["student", "course"]
    search_fields = ["student__name", "student__student_id"]
    autocomplete_fields = ["student"]

    def get_import_form_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_import_form_kwargs(request), "user": request.user}

    def get_confirm_form_kwargs(
        self, request: HttpRequest, import_form: ClassListImportForm | None = None
    ) -> dict[str, Any]:
        return {**super().get_confirm_form_kwargs(request, import_form), "user": request.user}

    def get_confirm_form_initial(
        self, request: HttpRequest, import_form: ClassListImportForm | None
    ) -> dict[str, Any]:
        initial = super().get_confirm_form_initial(request, import_form)
        if import_form is not None:
            initial["course"] = import_form.cleaned_data["course"].pk
            initial["end_missing"] = import_form.cleaned_data["end_missing"]
        return initial

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        form = kwargs.get("form")
        chosen = form.cleaned_data if form is not None and form.is_bound else {}
        return {
            "course": chosen.get("course"),
            "end_missing": bool(chosen.get("end_missing")),
            "user": request.user,
        }
