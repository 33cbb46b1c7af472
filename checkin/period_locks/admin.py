"""The desk's pages of locked periods."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from checkin.period_locks.services import (
    MAX_REASON_LENGTH,
    LockRefusedError,
    lock_period,
    locks_of,
    unlock_period,
    why_not_to_lock,
)
from roster.models import PeriodLock
from roster.scoping import CourseScopedAdmin
from roster.selectors import SEE_EVERY_COURSE


class PeriodLockForm(forms.ModelForm):
    class Meta:
        model = PeriodLock
        fields = ("course", "first_day", "last_day", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first_day, last_day = cleaned.get("first_day"), cleaned.get("last_day")
        if first_day and last_day and "course" in cleaned:
            why_not = why_not_to_lock(
                first_day=first_day,
                last_day=last_day,
                course=cleaned["course"],
                at=timezone.now(),
            )
            if why_not:
                raise forms.ValidationError(why_not)
        return cleaned


class UnlockForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "size": 60}),
        help_text=gettext_lazy("Kept with the lock."),
    )


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("locked", gettext_lazy("locked")), ("unlocked", gettext_lazy("unlocked"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[PeriodLock]
    ) -> QuerySet[PeriodLock]:
        if self.value() not in ("locked", "unlocked"):
            return queryset
        return queryset.filter(unlocked_at__isnull=self.value() == "locked")


@admin.register(PeriodLock)
class PeriodLockAdmin(CourseScopedAdmin):
    """Locked by the form that adds one, unlocked from the list. Rows are never edited."""

    form = PeriodLockForm
    list_display = ["__str__", "covers", "state", "reason", "locked", "unlocked"]
    list_filter = [StateFilter]
    list_select_related = ["course", "locked_by", "unlocked_by"]
    search_fields = ["reason", "course__code", "course__title"]
    actions = ["unlock"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodLock]:
        # Not the scope of the others: it would hide the locks of all courses.
        return locks_of(cast(User, request.user)).order_by("-first_day", "-pk")

    def get_fields(self, request: HttpRequest, obj: PeriodLock | None = None) -> Any:
        fields = ["course", "first_day", "last_day", "reason"]
        return fields if obj is None else [*fields, "state", "locked", "unlocked"]

    def has_change_permission(self, request: HttpRequest, obj: PeriodLock | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PeriodLock | None = None) -> bool:
        return False

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("roster.change_periodlock")

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and not request.user.has_perm(SEE_EVERY_COURSE):
            field.required = True
            field.help_text = ""
        return field

    @admin.display(description=gettext_lazy("covers"), ordering="course__code")
    def covers(self, lock: PeriodLock) -> str:
        return str(lock.course or _("all courses"))

    @admin.display(description=gettext_lazy("state"))
    def state(self, lock: PeriodLock) -> str:
        sign, word = ("●", _("locked")) if lock.unlocked_at is None else ("○", _("unlocked"))
        return format_html(
            '<span class="nowrap"><span aria-hidden="true">{}</span> {}</span>', sign, word
        )

    @admin.display(description=gettext_lazy("locked"), ordering="locked_at")
    def locked(self, lock: PeriodLock) -> str:
        return _when_and_who(lock.locked_at, lock.locked_by)

    @admin.display(description=gettext_lazy("unlocked"), ordering="unlocked_at")
    def unlocked(self, lock: PeriodLock) -> str:
        if lock.unlocked_at is None:
            return "–"
        return f"{_when_and_who(lock.unlocked_at, lock.unlocked_by)}: {lock.unlock_reason}"

    def save_model(self, request: HttpRequest, obj: PeriodLock, form: Any, change: bool) -> None:
        try:
            lock = lock_period(
                first_day=obj.first_day,
                last_day=obj.last_day,
                course=obj.course,
                by=cast(User, request.user),
                reason=obj.reason,
                at=timezone.now(),
            )
        except LockRefusedError as refusal:
            # Between the check of the form and now a session was opened again.
            raise PermissionDenied(str(refusal)) from refusal
        obj.pk = lock.pk

    @admin.action(description=gettext_lazy("Unlock"), permissions=["unlock"])
    def unlock(self, request: HttpRequest, locks: QuerySet[PeriodLock]) -> HttpResponse | None:
        form = UnlockForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": _("Unlock"),
                "locks": locks,
                "form": form,
            }
            return render(request, "admin/checkin/unlock_periods.html", context)
        unlocked = sum(self._unlocked(request, lock, form.cleaned_data["reason"]) for lock in locks)
        if unlocked:
            text = ngettext(
                "%(count)d period was unlocked.", "%(count)d periods were unlocked.", unlocked
            )
            self.message_user(request, text % {"count": unlocked})
        return None

    def _unlocked(self, request: HttpRequest, lock: PeriodLock, reason: str) -> bool:
        try:
            unlock_period(lock=lock, by=cast(User, request.user), reason=reason, at=timezone.now())
        except LockRefusedError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return False
        return True


def _when_and_who(at: Any, by: User | None) -> str:
    name = (by.get_full_name() or by.get_username()) if by else _("a former account")
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}, {name}"
