"""The desk's pages of sessions, with closing and reopening, which reach into attendance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from checkin.models import Attendance, SessionClosing
from checkin.sessions.services import (
    MAX_REASON_LENGTH,
    SessionRefusedError,
    close_session,
    reopen_session,
)
from roster.admin import ClassSessionAdmin
from roster.models import ClassSession
from roster.selectors import students_in

admin.site.unregister(ClassSession)


class ReopenForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "size": 60}),
        help_text=gettext_lazy("Kept with the session."),
    )
    minutes = forms.IntegerField(
        label=gettext_lazy("Open for (minutes)"),
        initial=30,
        min_value=1,
        max_value=720,
        help_text=gettext_lazy("From now. A session that is not over stays open to its end."),
    )


@admin.register(ClassSession)
class SessionAdmin(ClassSessionAdmin):
    change_form_template = "admin/checkin/session_change.html"
    list_display = [*ClassSessionAdmin.list_display, "live"]
    readonly_fields = ["state", "held_by", "figures", "closings"]
    actions = ["close_now", "reopen"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return list(self.readonly_fields) if obj else []

    @admin.display(description=gettext_lazy("live page"))
    def live(self, session: ClassSession) -> str:
        page = reverse("admin:checkin_attendance_live", args=[session.pk])
        return format_html('<a href="{}">{}</a>', page, _("Live"))

    @admin.display(description=gettext_lazy("attendance"))
    def figures(self, session: ClassSession) -> str:
        rows = Attendance.objects.filter(session=session)
        counts = dict(rows.values_list("status").annotate(Count("pk")).order_by())
        words = [
            f"{counts[status]} {label}"
            for status, label in Attendance.Status.choices
            if status in counts
        ]
        records = reverse("admin:checkin_attendance_changelist")
        return format_html(
            '<a href="{}?{}">{}</a>',
            records,
            urlencode({"session": session.pk}),
            ", ".join([_("%(count)d expected") % {"count": students_in(session).count()}, *words]),
        )

    @admin.display(description=gettext_lazy("closed and reopened"))
    def closings(self, session: ClassSession) -> str:
        closings = SessionClosing.objects.filter(session=session)
        lines = [
            (sentence,)
            for closing in closings.select_related("closed_by", "reopened_by")
            for sentence in _sentences(closing, session)
        ]
        if lines:
            return format_html(
                '<ul class="session-closings">{}</ul>', format_html_join("", "<li>{}</li>", lines)
            )
        if session.closed_at is not None:
            return session.clock(session.closed_at)
        return _("never")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session = self.get_object(request, object_id)
        context = {"session_state": session.state(timezone.now()) if session else ""}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.action(description=gettext_lazy("Close now"), permissions=["change"])
    def close_now(self, request: HttpRequest, sessions: QuerySet[ClassSession]) -> None:
        user, now, closed = cast(User, request.user), timezone.now(), 0
        for session in sessions:
            try:
                closed += close_session(session, now, by=user) is not None
            except SessionRefusedError as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
        text = ngettext("%(count)d session was closed.", "%(count)d sessions were closed.", closed)
        self.message_user(request, text % {"count": closed})

    @admin.action(description=gettext_lazy("Open again"), permissions=["change"])
    def reopen(self, request: HttpRequest, sessions: QuerySet[ClassSession]) -> HttpResponse | None:
        form = ReopenForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return self._reopen_page(request, sessions, form)
        reopened = 0
        for session in sessions:
            reopened += self._reopened(request, session, form.cleaned_data)
        if reopened:
            text = ngettext(
                "%(count)d session was opened again.",
                "%(count)d sessions were opened again.",
                reopened,
            )
            self.message_user(request, text % {"count": reopened})
        return None

    def _reopened(
        self, request: HttpRequest, session: ClassSession, chosen: dict[str, Any]
    ) -> bool:
        now = timezone.now()
        try:
            reopen_session(
                session,
                now,
                by=cast(User, request.user),
                reason=chosen["reason"],
                until=now + timedelta(minutes=chosen["minutes"]),
            )
        except SessionRefusedError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return False
        return True

    def _reopen_page(
        self, request: HttpRequest, sessions: QuerySet[ClassSession], form: ReopenForm
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Open again"),
            "sessions": sessions,
            "form": form,
        }
        return render(request, "admin/checkin/reopen_sessions.html", context)


def _sentences(closing: SessionClosing, session: ClassSession) -> list[str]:
    """The newest first: when, by whom, and what it meant."""
    closed = _("%(time)s closed by %(whom)s, %(absent)d absent") % {
        "time": session.clock(closing.closed_at),
        "whom": _name(closing.closed_by) if closing.closed_by else _("the clock"),
        "absent": closing.absences + closing.short_stays,
    }
    if closing.short_stays:
        closed = _("%(closed)s, %(short)d of them stayed too short") % {
            "closed": closed,
            "short": closing.short_stays,
        }
    if closing.reopened_at is None:
        return [closed]
    reopened = _("%(time)s opened again by %(whom)s: %(reason)s") % {
        "time": session.clock(closing.reopened_at),
        "whom": _name(closing.reopened_by),
        "reason": closing.reason,
    }
    return [reopened, closed]


def _name(user: User | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else _("a former account")
