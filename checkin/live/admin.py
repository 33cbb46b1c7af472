"""The live page of a session at the desk, and marks by hand.

Everything works by links and forms; the page's script only makes it faster.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from checkin.live.selectors import Line, Viewer, clock, history_of, snapshot_of, viewer_of
from checkin.marking import (
    MAX_REASON_LENGTH,
    MarkRefusedError,
    mark,
    set_times,
    status_word,
    undo,
)
from checkin.models import Attendance, AttendanceChange
from roster.models import ClassSession, Student
from roster.scoping import ReadOnlyAdmin
from roster.selectors import students_of

VIEWS = ("list", "grid")
#: What a number at the top narrows the list to.
ONLY = {
    "present": ("present",),
    "late": ("late",),
    "excused": ("excused",),
    "missing": ("", "absent"),
}


_MOMENT = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})


class MarkForm(forms.Form):
    status = forms.ChoiceField(
        label=gettext_lazy("Status"), choices=Attendance.Status.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Kept with the change. Needed to excuse, and to change a record."),
    )
    shown = forms.CharField(widget=forms.HiddenInput)


class TimesForm(forms.Form):
    """Typed as the clocks of the course tell them."""

    arrived = forms.DateTimeField(label=gettext_lazy("Arrived"), widget=_MOMENT)
    left = forms.DateTimeField(label=gettext_lazy("Left"), required=False, widget=_MOMENT)
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Kept with the change."),
    )
    shown = forms.CharField(widget=forms.HiddenInput)

    def moment(self, name: str, session: ClassSession) -> datetime | None:
        typed = self.cleaned_data[name]
        if typed is None:
            return None
        return timezone.make_aware(timezone.make_naive(typed), session.course.zone)


class LivePages(ReadOnlyAdmin):
    """Pages of attendance, session by session."""

    def get_urls(self) -> list[URLPattern]:
        def page(address: str, view: Any, name: str) -> URLPattern:
            guarded = self.admin_site.admin_view(never_cache(view))
            return path(f"live/<int:session_pk>/{address}", guarded, name=name)

        own = [
            page("", require_safe(self.live_view), "checkin_attendance_live"),
            page(
                "students/<int:student_pk>/",
                self.student_view,
                "checkin_attendance_live_student",
            ),
            page(
                "students/<int:student_pk>/times/",
                require_POST(self.times_view),
                "checkin_attendance_live_times",
            ),
            page("undo/", require_POST(self.undo_view), "checkin_attendance_live_undo"),
        ]
        return own + super().get_urls()

    def live_view(self, request: HttpRequest, session_pk: int) -> HttpResponse:
        viewer = _viewer(request, session_pk)
        snapshot = snapshot_of(viewer, timezone.now())
        only, sought = request.GET.get("only", ""), request.GET.get("q", "").strip()
        context = {
            **_frame(self, request, viewer),
            "title": _("Live: %(session)s") % {"session": viewer.session},
            "viewer": viewer,
            "hours": _hours(viewer.session),
            "snapshot": snapshot,
            "blank": Line(student=0, number="", name="", may_mark=viewer.may_mark),
            "counts": _counts(snapshot.counts),
            "only": only if only in ONLY else "",
            "sought": sought,
            "shown_as": request.GET.get("view") if request.GET.get("view") in VIEWS else "list",
            "hidden": _hidden(snapshot.lines, only, sought),
        }
        return render(request, "admin/checkin/live.html", context)

    def student_view(self, request: HttpRequest, session_pk: int, student_pk: int) -> HttpResponse:
        """One student in this session: what was changed so far, and the form to change it."""
        viewer = _viewer(request, session_pk)
        line = next(
            (
                line
                for line in snapshot_of(viewer, timezone.now()).lines
                if line.student == student_pk
            ),
            None,
        )
        if line is None:
            raise Http404
        student = get_object_or_404(students_of(viewer.user), pk=student_pk)
        if request.method == "POST":
            return self._marked(request, viewer, student)
        return self._student_page(request, viewer, line, _form_of(request, line))

    def _marked(self, request: HttpRequest, viewer: Viewer, student: Student) -> HttpResponse:
        if not viewer.may_mark:
            raise PermissionDenied
        try:
            attendance = mark(
                session=viewer.session,
                student=student,
                status=request.POST.get("status", ""),
                by=viewer.user,
                reason=request.POST.get("reason", ""),
                at=timezone.now(),
                shown=request.POST.get("shown", ""),
            )
        except MarkRefusedError as refusal:
            return _refused(request, viewer, refusal)
        done = _("%(student)s: %(status)s.") % {
            "student": student.name,
            "status": attendance.get_status_display(),
        }
        return _done(request, viewer, done)

    def times_view(self, request: HttpRequest, session_pk: int, student_pk: int) -> HttpResponse:
        viewer = _viewer(request, session_pk)
        if not viewer.may_mark:
            raise PermissionDenied
        student = get_object_or_404(students_of(viewer.user), pk=student_pk)
        form = TimesForm(request.POST, auto_id="times_%s")
        if not form.is_valid():
            messages.error(request, _("Nothing was changed: give both day and time, and a reason."))
            return HttpResponseRedirect(_student_page_of(viewer, student))
        arrived_at = form.moment("arrived", viewer.session)
        assert arrived_at is not None  # noqa: S101 -- for the type checker
        try:
            set_times(
                session=viewer.session,
                student=student,
                arrived_at=arrived_at,
                left_at=form.moment("left", viewer.session),
                by=viewer.user,
                reason=form.cleaned_data["reason"],
                at=timezone.now(),
                shown=form.cleaned_data["shown"],
            )
        except MarkRefusedError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("%(student)s: times changed.") % {"student": student.name})
        return HttpResponseRedirect(_student_page_of(viewer, student))

    def undo_view(self, request: HttpRequest, session_pk: int) -> HttpResponse:
        viewer = _viewer(request, session_pk)
        if not viewer.may_mark:
            raise PermissionDenied
        changes = AttendanceChange.objects.filter(session=viewer.session).select_related("student")
        sought = request.POST.get("change", "")
        change = get_object_or_404(changes, pk=sought if sought.isdecimal() else None)
        try:
            undo(change=change, by=viewer.user, at=timezone.now())
        except MarkRefusedError as refusal:
            return _refused(request, viewer, refusal)
        return _done(request, viewer, _("%(student)s: undone.") % {"student": change.student.name})

    def _student_page(
        self, request: HttpRequest, viewer: Viewer, line: Line, form: MarkForm
    ) -> HttpResponse:
        student = Student(pk=line.student)
        row = Attendance.objects.filter(session=viewer.session, student=student).first()
        context = {
            **_frame(self, request, viewer),
            "title": line.name,
            "viewer": viewer,
            "line": line,
            "form": form,
            "times": _times_form(viewer.session, row, line),
            "history": history_of(viewer.session, student) if viewer.may_see_changes else [],
        }
        return render(request, "admin/checkin/live_student.html", context)


def _viewer(request: HttpRequest, session_pk: int) -> Viewer:
    viewer = viewer_of(cast(User, request.user), session_pk)
    if viewer is None:
        raise Http404
    return viewer


def _frame(page: admin.ModelAdmin, request: HttpRequest, viewer: Viewer) -> dict[str, Any]:
    return {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "session": viewer.session,
        "live_url": _page_of(viewer),
    }


def _page_of(viewer: Viewer) -> str:
    return reverse("admin:checkin_attendance_live", args=[viewer.session.pk])


def _hours(session: ClassSession) -> str:
    return f"{session.clock(session.starts_at)}–{clock(session, session.ends_at)}"


def _form_of(request: HttpRequest, line: Line) -> MarkForm:
    wanted = request.GET.get("status", "")
    return MarkForm(initial={"status": wanted or line.status, "shown": line.shown})


def _times_form(session: ClassSession, row: Attendance | None, line: Line) -> TimesForm | None:
    """Of who came; the moments as the clocks of the course tell them."""
    if row is None or row.arrived_at is None or not line.may_mark:
        return None
    moments = {"arrived": row.arrived_at, "left": row.left_at}
    clocks = {
        name: timezone.make_naive(moment, session.course.zone) if moment else None
        for name, moment in moments.items()
    }
    return TimesForm(initial={**clocks, "shown": line.shown}, auto_id="times_%s")


def _student_page_of(viewer: Viewer, student: Student) -> str:
    return reverse("admin:checkin_attendance_live_student", args=[viewer.session.pk, student.pk])


def _counts(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    names = {
        "expected": _("expected"),
        "present": _("present"),
        "late": _("late"),
        "excused": _("excused"),
        "missing": _("missing"),
    }
    return [(code, name, counts[code]) for code, name in names.items()]


def _hidden(lines: tuple[Line, ...], only: str, sought: str) -> set[int]:
    """The students that the address does not ask for."""
    wanted, text = ONLY.get(only), sought.casefold()
    return {
        line.student
        for line in lines
        if (wanted is not None and line.status not in wanted)
        or (text not in f"{line.name} {line.number}".casefold())
    }


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("Accept") == "application/json"


def _refused(request: HttpRequest, viewer: Viewer, refusal: MarkRefusedError) -> HttpResponse:
    if _by_script(request):
        return JsonResponse({"message": str(refusal)}, status=409)
    messages.error(request, str(refusal))
    return HttpResponseRedirect(_back(request, viewer))


def _done(request: HttpRequest, viewer: Viewer, text: str) -> HttpResponse:
    if _by_script(request):
        return JsonResponse({"message": text})
    messages.success(request, text)
    return HttpResponseRedirect(_back(request, viewer))


def _back(request: HttpRequest, viewer: Viewer) -> str:
    """The page as it was, with its view and search, when it says where it was."""
    page = _page_of(viewer)
    asked = request.POST.get("back", "")
    return asked if asked.startswith(page) else page


@admin.register(AttendanceChange)
class AttendanceChangeAdmin(ReadOnlyAdmin):
    course_path = "session__course"
    list_display = ["when", "by", "student", "session", "was", "became", "reason", "is_undo"]
    list_filter = [("session__course", admin.RelatedOnlyFieldListFilter), "at"]
    list_select_related = ["by", "student", "session__course"]
    search_fields = ["student__name", "student__student_id"]
    date_hierarchy = "at"
    fields = ["when", "by", "student", "session", "was", "became", "reason", "is_undo"]

    @admin.display(description=gettext_lazy("at"), ordering="at")
    def when(self, change: AttendanceChange) -> str:
        return format_html('<span class="nowrap">{}</span>', change.session.clock(change.at))

    @admin.display(description=gettext_lazy("before"))
    def was(self, change: AttendanceChange) -> str:
        return status_word(change.before)

    @admin.display(description=gettext_lazy("after"))
    def became(self, change: AttendanceChange) -> str:
        return status_word(change.after)

    @admin.display(description=gettext_lazy("undoes another"), boolean=True)
    def is_undo(self, change: AttendanceChange) -> bool:
        return change.undoes_id is not None
