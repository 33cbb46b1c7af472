"""The desk's pages for alerts: what happened, the picture while it waits, and the decision."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.lookups import MAX_KEY_DIGITS
from accounts.models import User
from checkin.alerts.mail import MOST_MAILED_PER_HOUR
from checkin.alerts.models import Alert
from checkin.alerts.services import AlertDecidedError, identify, ignore, ignore_open, welcome_guest
from checkin.live.selectors import name_of
from checkin.sessions.filter import SessionFilter
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession, Course, Student
from roster.scoping import CourseScopedAdmin
from roster.selectors import students_in

Kind, Decision = Alert.Kind, Alert.Decision

WHAT = {
    Kind.STRANGER: _("A live face that was not recognised as anybody of the class."),
    Kind.SPOOF: _("Check-ins one after the other that were not proven to be of a live face."),
    Kind.DENIED: _("Too many wrong passes one after the other: entry was denied."),
}


#: What waits for a decision comes first.
OPEN_FIRST = Case(
    When(decision=Decision.OPEN, then=Value(0)), default=Value(1), output_field=IntegerField()
).asc()


class IdentifyForm(forms.Form):
    student = forms.ModelChoiceField(
        label=_("This is"),
        queryset=Student.objects.none(),
        empty_label=_("Choose from the class list"),
        error_messages={
            "required": _("Choose who it is."),
            "invalid_choice": _("Choose somebody of this class."),
        },
    )

    def __init__(self, *args: Any, session: ClassSession, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = cast(forms.ModelChoiceField, self.fields["student"])
        choice.queryset = students_in(session).order_by("name", "student_id")


def _mailed_words(alert: Alert) -> str:
    """When, or why not."""
    session = alert.session
    if alert.mailed_at is not None:
        return session.clock(alert.mailed_at)
    if alert.held_back:
        return _("no: more than %(most)d in an hour") % {"most": MOST_MAILED_PER_HOUR}
    if alert.due_at is not None:
        return _("not yet, at about %(time)s") % {"time": session.clock(alert.due_at)}
    if session.course.alerts_to == Course.AlertsTo.NOBODY:
        return str(_("no: the course names nobody"))
    if alert.kind == Kind.STRANGER and alert.decision == Decision.OPEN:
        return str(_("no: nearly recognised, or let in by a pass right after"))
    return str(_("no"))


@admin.register(Alert)
class AlertAdmin(CourseScopedAdmin):
    course_path = "session__course"
    list_display = ["what", "session", "kiosk", "last", "times", "state", "told"]
    list_filter = [
        SessionFilter,
        "decision",
        "kind",
        ("session__course", admin.RelatedOnlyFieldListFilter),
        "last_at",
    ]
    list_select_related = ["session__course", "kiosk", "student"]
    ordering = [OPEN_FIRST, "-last_at", "-pk"]
    actions = ["ignore_chosen"]

    class Media:
        css = {"all": ["checkin/alerts.css"]}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(never_cache(require_safe(self.picture_view)))
        own = [path("<int:pk>/picture.jpg", view, name="checkin_alert_picture")]
        return own + super().get_urls()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # The list

    @admin.display(description=_("alert"), ordering="kind")
    def what(self, alert: Alert) -> str:
        if not alert.sealed_picture:
            return alert.get_kind_display()
        picture = reverse("admin:checkin_alert_picture", args=[alert.pk])
        return format_html(
            '<span class="alert-what"><img src="{}" alt="" loading="lazy"> {}</span>',
            picture,
            alert.get_kind_display(),
        )

    @admin.display(description=_("last"), ordering="last_at")
    def last(self, alert: Alert) -> str:
        return format_html('<span class="nowrap">{}</span>', alert.session.clock(alert.last_at))

    @admin.display(description=_("state"), ordering="decision")
    def state(self, alert: Alert) -> str:
        if alert.decision == Decision.IDENTIFIED and alert.student is not None:
            return f"{alert.get_decision_display()}: {alert.student.name}"
        return alert.get_decision_display()

    @admin.display(description=_("mailed"), ordering="mailed_at")
    def told(self, alert: Alert) -> str:
        if alert.mailed_at is not None:
            return alert.session.clock(alert.mailed_at)
        return str(_("no: too many")) if alert.held_back else "–"

    @admin.action(description=_("Ignore"), permissions=["change"])
    def ignore_chosen(self, request: HttpRequest, alerts: QuerySet[Alert]) -> None:
        by, at = cast(User, request.user), timezone.now()
        ignored = ignore_open(alerts=alerts.filter(decision=Decision.OPEN), by=by, at=at)
        for alert in ignored:
            self._log(request, alert)
        text = ngettext(
            "%(count)d alert was ignored. Its picture is gone.",
            "%(count)d alerts were ignored. Their pictures are gone.",
            len(ignored),
        )
        self.message_user(request, text % {"count": len(ignored)})

    # One alert

    def picture_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Opened from memory for this answer; nothing on the way may keep it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        alert = get_object_or_404(self.get_queryset(request).exclude(sealed_picture=b""), pk=pk)
        try:
            return HttpResponse(alert.picture(), content_type="image/jpeg")
        except TemplateUnreadableError as error:
            raise Http404 from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not object_id.isdecimal() or len(object_id) > MAX_KEY_DIGITS:
            raise Http404
        alerts = self.get_queryset(request).select_related(
            "session__course", "session__room", "kiosk", "student", "decided_by"
        )
        alert = get_object_or_404(alerts, pk=int(object_id))
        form = IdentifyForm(session=alert.session)
        if request.method == "POST":
            if not self.has_change_permission(request):
                raise PermissionDenied
            form = IdentifyForm(request.POST, session=alert.session)
            if request.POST.get("decision") != Decision.IDENTIFIED or form.is_valid():
                return self._decided(request, alert, form)
        return render(request, "admin/checkin/alert.html", self._page(request, alert, form))

    def _page(self, request: HttpRequest, alert: Alert, form: IdentifyForm) -> dict[str, Any]:
        session, user = alert.session, cast(User, request.user)
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("%(kind)s in %(session)s")
            % {"kind": alert.get_kind_display().capitalize(), "session": session},
            "alert": alert,
            "session": session,
            "what": WHAT[Kind(alert.kind)],
            "first": session.clock(alert.first_at),
            "last": session.clock(alert.last_at),
            "mailed": _mailed_words(alert),
            "expires": session.clock(alert.expires_at),
            "decided": session.clock(alert.decided_at) if alert.decided_at else "",
            "decided_by": name_of(alert.decided_by),
            "is_open": alert.decision == Decision.OPEN,
            "may_decide": alert.decision == Decision.OPEN and self.has_change_permission(request),
            "may_be_guest": alert.kind == Kind.STRANGER and bool(alert.sealed_embedding),
            "form": form,
            "may_mark": user.has_perms(["checkin.change_attendance", "roster.view_classsession"]),
            "may_enrol": alert.kind == Kind.STRANGER
            and user.has_perm("recognition.change_studentface"),
            "list_url": reverse("admin:checkin_alert_changelist"),
        }

    def _decided(self, request: HttpRequest, alert: Alert, form: IdentifyForm) -> HttpResponse:
        by, at, decision = cast(User, request.user), timezone.now(), request.POST.get("decision")
        try:
            if decision == Decision.IDENTIFIED:
                alert = identify(alert=alert, student=form.cleaned_data["student"], by=by, at=at)
            elif decision == Decision.GUEST:
                alert = welcome_guest(alert=alert, by=by, at=at)
            elif decision == Decision.IGNORED:
                alert = ignore(alert=alert, by=by, at=at)
            else:
                raise AlertDecidedError(_("Choose one of the decisions."))
        except AlertDecidedError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.path)
        self._log(request, alert)
        self.message_user(request, _("Decided. The picture is deleted."))
        if alert.decision == Decision.IDENTIFIED:
            return HttpResponseRedirect(request.path)
        return redirect("admin:checkin_alert_changelist")

    def _log(self, request: HttpRequest, alert: Alert) -> None:
        """Without names: the history outlives the alert."""
        self.log_change(request, alert, str(alert.get_decision_display()))
