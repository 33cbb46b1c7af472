"""Admin pages that show a lecturer only what belongs to their courses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from accounts.models import User
from roster.models import Course, Student
from roster.selectors import courses_of, students_of

VISIBLE: dict[Any, Callable[[User], QuerySet[Any]]] = {Course: courses_of, Student: students_of}


class CourseScopedAdmin(admin.ModelAdmin):
    """Every list, object, autocomplete and choice is limited to the user's courses.

    ``course_path`` is the lookup from the model to its course.
    """

    course_path = "course"
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        user = cast(User, request.user)
        if user.is_superuser:
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
