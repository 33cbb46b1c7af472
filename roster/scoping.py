"""Admin pages that show a lecturer only what belongs to their courses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from roster.models import Course, CourseEnrolment, Student
from roster.selectors import SEE_EVERY_COURSE, courses_of, students_of

VISIBLE: dict[Any, Callable[[User], QuerySet[Any]]] = {Course: courses_of, Student: students_of}


class CourseFilter(admin.SimpleListFilter):
    """Students, and what belongs to one, by the class list of today.

    Only the user's own courses: their students may be in foreign ones as well.
    """

    title = _("course")
    parameter_name = "course"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(course.pk), str(course)) for course in courses_of(cast(User, request.user))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if not value.isdecimal():
            return queryset
        own = courses_of(cast(User, request.user)).filter(pk=int(value))
        today = timezone.localdate()
        listed = CourseEnrolment.objects.filter(
            Q(left_on=None) | Q(left_on__gt=today), course__in=own
        )
        path = "pk" if issubclass(queryset.model, Student) else "student"
        return queryset.filter(**{f"{path}__in": listed.values("student")})


class CourseScopedAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """Every list, object, autocomplete and choice is limited to the user's courses.

    ``course_path`` is the lookup from the model to its course.
    """

    course_path = "course"
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        user = cast(User, request.user)
        if user.has_perm(SEE_EVERY_COURSE):
            return rows
        own = self.model._default_manager.filter(**{f"{self.course_path}__in": courses_of(user)})
        return rows.filter(pk__in=own.values("pk"))

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Model] | None:
        if db_field.related_model in VISIBLE:
            kwargs["queryset"] = VISIBLE[db_field.related_model](cast(User, request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnlyAdmin(CourseScopedAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
