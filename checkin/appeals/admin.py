"""The desk's queue of appeals, and the page on which one is decided."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from checkin.appeals.evidence import attempts_of
from checkin.appeals.models import MAX_ANSWER_LENGTH, Appeal
from checkin.appeals.services import (
    DECIDES,
    AppealRefusedError,
    accept_appeal,
    comes_back,
    open_appeals,
    refuse_appeal,
)
from checkin.live.selectors import history_of
from checkin.marking import MarkRefusedError, key_of, state_of, status_word
from checkin.models import Attendance
from roster.scoping import ReadOnlyAdmin

REFUSALS = (AppealRefusedError, MarkRefusedError)
LEAVE = ("", gettext_lazy("leave it as it is"))


class StateFilter(admin.SimpleListFilter):
    """Without a choice, what waits for a decision."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ended = [one for one in Appeal.Status if one != Appeal.Status.OPEN]
        return [*((state.value, str(state.label)) for state in ended), ("all", str(_("all")))]

    def choices(self, changelist: Any) -> Any:
        waiting, *others = super().choices(changelist)
        yield {**waiting, "display": Appeal.Status.OPEN.label}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(status=self.value() or Appeal.Status.OPEN)


class DecisionForm(forms.Form):
    """The status that holds from now on; a "not me" may leave the record as it is."""

    status = forms.ChoiceField(
        label=gettext_lazy("If accepted, the record becomes"),
        required=False,
        widget=forms.RadioSelect,
    )
    answer = forms.CharField(
        label=gettext_lazy("Answer"),
        required=False,
        max_length=MAX_ANSWER_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("The student reads it, and it is kept with the change."),
    )
    shown = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, now: str, may_leave: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [choice for choice in Attendance.Status.choices if choice[0] != now]
        field = cast(forms.ChoiceField, self.fields["status"])
        field.choices = [LEAVE, *others] if may_leave else others


@admin.register(Appeal)
class AppealAdmin(ReadOnlyAdmin):
    course_path = "session__course"
    list_display = ["student", "session", "about", "state", "since", "decided_by"]
    list_filter = [StateFilter, ("session__course", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["student", "session__course", "decided_by"]
    search_fields = ["student__name", "student__student_id"]
    ordering = ["opened_at", "pk"]

    class Media:
        css = {"all": ["recognition/review.css", "checkin/appeal.css"]}

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(DECIDES)

    @admin.display(description=gettext_lazy("about"), ordering="kind")
    def about(self, appeal: Appeal) -> str:
        return appeal.text[:80] if appeal.text else appeal.get_kind_display()

    @admin.display(description=gettext_lazy("state"), ordering="status")
    def state(self, appeal: Appeal) -> str:
        return appeal.get_status_display()

    @admin.display(description=gettext_lazy("since"), ordering="opened_at")
    def since(self, appeal: Appeal) -> str:
        waited = timesince(appeal.decided_at or appeal.opened_at, depth=1)
        return format_html('<span class="nowrap">{}</span>', waited)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What is recorded, what it rests on, what the student says; then the decision."""
        appeal = self._appeal(request, object_id)
        if request.method == "POST":
            return self._decide(request, appeal)
        return self._page(request, appeal, _form_for(appeal))

    def _appeal(self, request: HttpRequest, object_id: str) -> Appeal:
        appeal: Appeal | None = self.get_object(request, object_id)
        if appeal is None:
            raise Http404
        if not self.has_view_permission(request, appeal):
            raise PermissionDenied
        return appeal

    def _page(self, request: HttpRequest, appeal: Appeal, form: DecisionForm) -> HttpResponse:
        session, student = appeal.session, appeal.student
        user = cast(User, request.user)
        others = self.get_queryset(request).filter(session=session, student=student)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Appeal of %(student)s") % {"student": student},
            "appeal": appeal,
            "session": session,
            "student": student,
            "row": _row_of(appeal),
            "attempts": attempts_of(session, student)
            if user.has_perm("checkin.view_checkinattempt")
            else [],
            "changes": history_of(session, student)
            if user.has_perm("checkin.view_attendancechange")
            else [],
            "others": others.exclude(pk=appeal.pk).select_related("decided_by"),
            "comes_back": _what_comes_back(appeal),
            "form": form,
            "may_decide": appeal.is_open and self.has_decide_permission(request),
            "next_url": _address_of_next(user, appeal),
        }
        return render(request, "admin/checkin/appeal.html", context)

    def _decide(self, request: HttpRequest, appeal: Appeal) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        form = _form_for(appeal, request.POST)
        if not form.is_valid():
            return self._page(request, appeal, form)
        user = cast(User, request.user)
        next_url = _address_of_next(user, appeal)
        try:
            said = _decided(appeal, user, request.POST.get("decision", ""), form.cleaned_data)
        except REFUSALS as refusal:
            return self._refused(request, appeal, form, str(refusal))
        self.message_user(request, said, messages.SUCCESS)
        return HttpResponseRedirect(next_url or reverse("admin:checkin_appeal_changelist"))

    def _refused(
        self, request: HttpRequest, appeal: Appeal, form: DecisionForm, why: str
    ) -> HttpResponse:
        """What was typed stays, unless somebody else has decided meanwhile."""
        appeal.refresh_from_db()
        if not appeal.is_open:
            self.message_user(request, why, messages.ERROR)
            return HttpResponseRedirect(request.path)
        form.add_error(None, why)
        return self._page(request, appeal, form)


def _decided(appeal: Appeal, by: User, decision: str, chosen: dict[str, Any]) -> str:
    at, who = timezone.now(), {"student": appeal.student.name}
    if decision == "accept":
        accept_appeal(
            appeal=appeal,
            by=by,
            at=at,
            status=chosen["status"],
            answer=chosen["answer"],
            shown=chosen["shown"],
        )
        return _("The appeal of %(student)s was accepted.") % who
    refuse_appeal(appeal=appeal, by=by, at=at, answer=chosen["answer"])
    return _("The appeal of %(student)s was refused.") % who


def _form_for(appeal: Appeal, sent: Any = None) -> DecisionForm:
    row = _row_of(appeal)
    return DecisionForm(
        sent,
        now=row.status if row else "",
        may_leave=appeal.disownings.exists(),
        initial={"status": "", "shown": key_of(state_of(row))},
    )


def _row_of(appeal: Appeal) -> Attendance | None:
    rows = Attendance.objects.filter(session=appeal.session, student=appeal.student)
    return rows.select_related("kiosk", "session__course").first()


def _what_comes_back(appeal: Appeal) -> str:
    """The status that refusing brings back; empty where it brings back nothing."""
    if not appeal.is_open:
        return ""
    disownings = appeal.disownings.select_related("change")
    for disowning in disownings.order_by("-pk"):
        if disowning.change is not None and comes_back(disowning, appeal):
            return status_word(disowning.change.before)
    return ""


def _address_of_next(user: User, appeal: Appeal) -> str:
    """The one that has waited longest, after this one and then from the start."""
    others = open_appeals(user).exclude(pk=appeal.pk)
    following = others.filter(opened_at__gte=appeal.opened_at).first() or others.first()
    return reverse("admin:checkin_appeal_change", args=[following.pk]) if following else ""
