"""The page on which an account chooses which entries it is told of by mail."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import User
from checkin.notices.models import HowOften
from checkin.notices.services import (
    COURSE_CHOICES,
    OWN_CHOICES,
    CourseChoice,
    choose_notices,
    course_choices,
    own_choice,
)
from roster.models import Course, Student


class NoticesForm(forms.Form):
    """One choice on the own entries, for students, and one for each course."""

    def __init__(self, data: Any, *, own: HowOften | None, by_course: list[CourseChoice]) -> None:
        super().__init__(data, label_suffix="")
        self.course_choices = {_field_of(one.course): one for one in by_course}
        if own is not None:
            self.fields["own"] = _choice(gettext_lazy("When you are marked"), OWN_CHOICES, own)
        for name, one in self.course_choices.items():
            self.fields[name] = _choice(str(one.course), COURSE_CHOICES, one.how_often)

    @property
    def course_fields(self) -> list[tuple[CourseChoice, forms.BoundField]]:
        return [(one, self[name]) for name, one in self.course_choices.items()]

    def keep(self, user: User, at: datetime) -> None:
        own = self.cleaned_data.get("own")
        choose_notices(
            user=user,
            own=HowOften(own) if own else None,
            by_course={
                one.course.pk: HowOften(chosen)
                for name, one in self.course_choices.items()
                if (chosen := self.cleaned_data[name])
            },
            at=at,
        )


def _field_of(course: Course) -> str:
    return f"course-{course.pk}"


def _choice(label: Any, choices: tuple[HowOften, ...], chosen: HowOften) -> forms.ChoiceField:
    """Not required: a course may begin to tell after the page was opened."""
    return forms.ChoiceField(
        label=label,
        choices=[(one.value, one.label) for one in choices],
        initial=chosen.value,
        required=False,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def own_notices(request: HttpRequest) -> HttpResponse:
    user, at = cast(User, request.user), timezone.now()
    is_student = Student.objects.filter(user=user).exists()
    form = NoticesForm(
        request.POST if request.method == "POST" else None,
        own=own_choice(user) if is_student else None,
        by_course=course_choices(user, at=at),
    )
    if form.is_bound and form.is_valid():
        form.keep(user, at)
        messages.success(request, _("Your choice is kept. It holds from now on."))
        return redirect("own_notices")
    context = {
        "form": form,
        "is_student": is_student,
        "digest_hour": f"{settings.NOTICE_DIGEST_HOUR:02d}:00",
    }
    return render(request, "checkin/own_notices.html", context)
