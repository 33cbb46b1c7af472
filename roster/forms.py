from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import ClassSession, PeriodLock, Room, SessionSeries
from roster.series import (
    SeriesPlan,
    SeriesRefusedError,
    clash_sentence,
    overlapping,
    plan_series,
)


class ClassSessionForm(forms.ModelForm):
    """Times are typed and shown as the clocks of the course's time zone tell them."""

    TIMES = ("starts_at", "ends_at")
    #: What is left empty is taken from the course.
    DEFAULTS = ("opens_early_min", "late_after_min", "check_out")

    check_out = forms.NullBooleanField(
        label=_("Check-out"),
        required=False,
        widget=forms.NullBooleanSelect,
        help_text=_("A second scan writes the time of leaving."),
    )
    share_room = forms.BooleanField(
        label=_("Use the room all the same"), required=False, widget=forms.HiddenInput
    )

    class Meta:
        model = ClassSession
        fields = (
            "course",
            "room",
            "starts_at",
            "ends_at",
            "opens_early_min",
            "late_after_min",
            "check_out",
            "own_entry_policy",
        )
        help_texts = {
            "starts_at": _("In the time zone of the course."),
            "ends_at": _("In the time zone of the course."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        widget = cast(forms.NullBooleanSelect, self.fields["check_out"].widget)
        (code, _unknown), *rest = widget.choices
        widget.choices = [(code, _("As the course has it")), *rest]
        if self.instance.pk:
            for name in self.TIMES:
                moment = getattr(self.instance, name)
                self.initial[name] = timezone.make_naive(moment, self.instance.course.zone)
        else:
            self._leave_defaults_to_the_course()

    def _leave_defaults_to_the_course(self) -> None:
        for name in self.DEFAULTS:
            self.initial[name] = None
            self.fields[name].required = False
        for name in ("opens_early_min", "late_after_min"):
            self.fields[name].help_text = _("%(help)s Empty: as the course has it.") % {
                "help": self.fields[name].help_text
            }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        course = cleaned.get("course")
        if course is None:
            return cleaned
        for name in self.TIMES:
            if moment := cleaned.get(name):
                typed = timezone.make_naive(moment)
                cleaned[name] = timezone.make_aware(typed, course.zone)
        for name in self.DEFAULTS:
            if cleaned.get(name) is None:
                cleaned[name] = getattr(course, name)
        self._refuse_locked_days(cleaned)
        starts_at, ends_at = (cleaned.get(name) for name in self.TIMES)
        if starts_at and ends_at and starts_at < ends_at:
            self._refuse_overlaps(cleaned)
        return cleaned

    def _refuse_locked_days(self, cleaned: dict[str, Any]) -> None:
        """A session neither enters nor leaves days that are settled, nor changes within them."""
        course, starts_at = cleaned["course"], cleaned.get("starts_at")
        lock = self.instance.period_lock() if self.instance.pk else None
        if lock is None and starts_at is not None:
            lock = PeriodLock.on(course, timezone.localtime(starts_at, course.zone).date())
        if lock is not None:
            self.add_error(
                None,
                _("The days from %(first)s to %(last)s are locked: nothing in them is changed.")
                % {"first": lock.first_day, "last": lock.last_day},
            )

    def _refuse_overlaps(self, cleaned: dict[str, Any]) -> None:
        course, room = cleaned["course"], cast(Room | None, cleaned.get("room"))
        times = {name: cleaned[name] for name in self.TIMES}
        own = overlapping(course=course, apart_from=self.instance, **times).first()
        if own is not None:
            self.add_error(
                "starts_at",
                _("The course has a session at this time already: %(session)s.")
                % {"session": own.clock(own.starts_at)},
            )
        if room is None or cleaned.get("share_room"):
            return
        taken = overlapping(room=room, apart_from=self.instance, **times)
        if taken.exclude(course=course).exists():
            self._ask_about_the_room(room)

    def _ask_about_the_room(self, room: Room) -> None:
        self.fields["share_room"].widget = forms.CheckboxInput()
        self.add_error(
            "share_room",
            _(
                "%(room)s is taken by another course at this time. Choose another room or time, or "
                "tick this box."
            )
            % {"room": room},
        )


class SessionSeriesForm(forms.ModelForm):
    weekdays = forms.MultipleChoiceField(
        label=_("Weekdays"),
        choices=SessionSeries.Weekday,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = SessionSeries
        fields = (
            "course",
            "room",
            "weekdays",
            "start_time",
            "end_time",
            "first_day",
            "last_day",
            "interval_weeks",
        )
        help_texts = {
            "start_time": _("On the clocks of the course, in summer and in winter."),
            "end_time": _("On the same day."),
        }

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        self.plan: SeriesPlan | None = None
        if self.errors:
            return
        try:
            self.plan = plan_series(self.instance, at=timezone.now())
        except SeriesRefusedError as refusal:
            self.add_error(None, str(refusal))
            return
        if self.plan.own_clashes:
            self.add_error(None, clash_sentence(self.plan))


class ClaimForm(forms.Form):
    student_id = forms.CharField(
        label=_("Student number"),
        max_length=64,
        help_text=_("As it stands on your student card."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters"}),
    )
