"""The desk's page of students whom the kiosk fails to recognise."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache

from accounts.models import User
from checkin.notices.models import RecognitionInvitation
from checkin.reports.admin import ForReadersOfAttendance
from checkin.reports.failing_recognition import (
    INVITED_AGAIN_AFTER,
    THRESHOLDS,
    failing_recognition,
    invite_to_register_again,
)
from recognition.workers import active_model_id
from roster.models import Course
from roster.selectors import courses_of


class CourseForm(forms.Form):
    course = forms.ModelChoiceField(
        label=gettext_lazy("Course"),
        queryset=Course.objects.none(),
        required=False,
        empty_label=gettext_lazy("All courses"),
        error_messages={
            "invalid_choice": gettext_lazy("This is none of your courses. Choose one of the list.")
        },
    )

    def __init__(self, data: Any, *, courses: QuerySet[Course]) -> None:
        super().__init__(data, label_suffix="")
        self._courses = courses
        cast(forms.ModelChoiceField, self.fields["course"]).queryset = courses

    @property
    def chosen(self) -> QuerySet[Course]:
        """The course that was asked for, or all; none where it is not one of them."""
        if not self.is_bound:
            return self._courses
        if not self.is_valid():
            return self._courses.none()
        course = self.cleaned_data["course"]
        return self._courses.filter(pk=course.pk) if course else self._courses


@admin.register(RecognitionInvitation)
class FailingRecognitionAdmin(ForReadersOfAttendance):
    """The list of this model is whom to invite; its rows keep whom somebody did."""

    def has_invite_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkin.add_recognitioninvitation")

    def get_urls(self) -> list[URLPattern]:
        """No other page of the model: its rows only remember."""
        page = self.admin_site.admin_view(never_cache(self.list_view))
        return [path("", page, name="checkin_recognitioninvitation_changelist")]

    def list_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        user = cast(User, request.user)
        courses = courses_of(user).order_by("code")
        form = CourseForm(request.GET if "course" in request.GET else None, courses=courses)
        if request.method == "POST":
            return self._invited(request, user, form)
        failing = failing_recognition(form.chosen, model_id=active_model_id(), at=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Failing recognition"),
            "form": form,
            "failing": failing,
            "may_invite": self.has_invite_permission(request),
            "can_be_invited": sum(one.can_be_invited for one in failing),
            "limits": THRESHOLDS,
            "invited_again_days": INVITED_AGAIN_AFTER.days,
        }
        return render(request, "admin/checkin/failing_recognition.html", context)

    def _invited(self, request: HttpRequest, user: User, form: CourseForm) -> HttpResponse:
        if not self.has_invite_permission(request):
            raise PermissionDenied
        count = invite_to_register_again(
            form.chosen,
            chosen=request.POST.getlist("student"),
            model_id=active_model_id(),
            user=user,
        )
        if count:
            text = ngettext(
                "%(count)d student was mailed.", "%(count)d students were mailed.", count
            )
            messages.success(request, text % {"count": count})
        else:
            messages.warning(request, _("Nobody was mailed: choose students who can be invited."))
        return redirect(request.get_full_path())
