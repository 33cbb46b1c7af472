"""The desk's pages of reports: on screen, on paper and as files, and whom to warn."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy
from django.views.decorators.cache import never_cache

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from checkin.models import Report, ReportExport
from checkin.reports.exports import (
    ExportUnreadableError,
    content_of,
    expires_at,
    exports_of,
    make_export,
)
from checkin.reports.forms import TermForm, WarnForm
from checkin.reports.low_attendance import warn, whom_to_warn
from checkin.reports.rates import Term
from checkin.reports.selectors import (
    COLUMNS,
    EACH_SESSION,
    Column,
    Found,
    NoColumnsError,
    all_columns_for,
    columns_for,
    course_report,
    rates_by_course,
    save_columns,
    session_report,
    student_report,
    term_report,
)
from roster.models import ClassSession
from roster.selectors import SEE_EVERY_COURSE, courses_of, students_of

EXPORTS_A_PAGE = 50

View = Callable[..., HttpResponse]


class Mark(NamedTuple):
    """How a page shows a status: in a letter and in a word, never by colour alone."""

    code: str
    letter: Any
    label: Any
    icon: str


MARKS = {
    "present": Mark("present", pgettext_lazy("status", "P"), gettext_lazy("present"), "good"),
    "late": Mark("late", pgettext_lazy("status", "L"), gettext_lazy("late"), "late"),
    "excused": Mark("excused", pgettext_lazy("status", "E"), gettext_lazy("excused"), "notice"),
    "absent": Mark("absent", pgettext_lazy("status", "A"), gettext_lazy("absent"), "bad"),
}


class ForReadersOfAttendance(OfferedLookupsOnly, admin.ModelAdmin):
    """Pages of their own in place of a model's: whoever may read attendance may read them."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("checkin.view_attendance")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ReportExport)
class ReportAdmin(ForReadersOfAttendance):
    """The list of this model is the report on the term."""

    def get_urls(self) -> list[URLPattern]:
        """No other page of the model: its rows are files."""
        return [
            path("", self._page(self.term_view), name="checkin_reportexport_changelist"),
            path("session/<int:pk>/", self._page(self.session_view), name="checkin_report_session"),
            path("student/<int:pk>/", self._page(self.student_view), name="checkin_report_student"),
            path("course/<int:pk>/", self._page(self.course_view), name="checkin_report_course"),
            path(
                "columns/<str:report>/",
                self._page(self.columns_view),
                name="checkin_report_columns",
            ),
            path("exports/", self._page(self.exports_view), name="checkin_report_exports"),
            path(
                "exports/<int:pk>/", self._page(self.download_view), name="checkin_report_download"
            ),
            path("warn/", self._page(self.warn_view), name="checkin_report_warn"),
        ]

    def _page(self, view: View) -> View:
        @wraps(view)
        def for_readers(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return view(request, **kwargs)

        return self.admin_site.admin_view(never_cache(for_readers))

    # Reports

    def session_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        own = ClassSession.objects.filter(course__in=_courses(request))
        session = get_object_or_404(own.select_related("course", "room"), pk=pk)
        return self._report(request, session_report(session), session=session)

    def student_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        student = get_object_or_404(students_of(_user(request)), pk=pk)
        form = TermForm(request.GET or None)
        found = student_report(student, _courses(request), form.term)
        return self._report(
            request, found, form=form, student=student, by_course=rates_by_course(found)
        )

    def course_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        course = get_object_or_404(_courses(request), pk=pk)
        form = TermForm(request.GET or None)
        return self._report(request, course_report(course, form.term), form=form, course=course)

    def term_view(self, request: HttpRequest) -> HttpResponse:
        form = TermForm(request.GET or None)
        return self._report(request, term_report(_courses(request), form.term), form=form)

    def _report(
        self, request: HttpRequest, found: Found, *, form: TermForm | None = None, **context: Any
    ) -> HttpResponse:
        """The page of a report, or with a kind of file in the post, the file."""
        columns = columns_for(_user(request), found.report)
        subject = _subject(found, form.term if form else Term())
        if request.method == "POST" and found.lines:
            return self._export(request, found, columns, subject)
        context |= {
            "found": found,
            "form": form,
            "subject": subject,
            "columns": columns,
            "rows": [
                (line, [(column, _shown(column, line)) for column in columns])
                for line in found.lines
            ],
            "each_session": EACH_SESSION,
            "marks": MARKS.values(),
            "kinds": ReportExport.Kind.choices,
            "printed_at": timezone.now(),
        }
        return self._render(request, "report", found.subject, context)

    def _export(
        self, request: HttpRequest, found: Found, columns: list[Column], subject: str
    ) -> HttpResponse:
        kind = request.POST.get("kind", "")
        if kind not in ReportExport.Kind:
            raise Http404
        return file_response(
            make_export(
                found=found, subject=subject, columns=columns, kind=kind, user=_user(request)
            )
        )

    # Columns

    def columns_view(self, request: HttpRequest, report: str) -> HttpResponse:
        """Tick what is shown; a press on an arrow saves and moves."""
        if report not in COLUMNS:
            raise Http404
        back = _back(request)
        if request.method == "POST":
            try:
                save_columns(user=_user(request), report=report, codes=_chosen_columns(request))
            except NoColumnsError:
                messages.error(request, _("Nothing was saved: choose at least one column."))
                return redirect(request.get_full_path())
            if "up" in request.POST or "down" in request.POST:
                return redirect(request.get_full_path())
            messages.success(request, _("The columns were saved."))
            return redirect(back)
        context = {
            "columns": all_columns_for(_user(request), report),
            "report": Report(report),
            "back": back,
        }
        return self._render(request, "report_columns", _("Columns of the report"), context)

    # Exports

    def exports_view(self, request: HttpRequest) -> HttpResponse:
        user = _user(request)
        kept = exports_of(user, at=timezone.now()).defer("sealed_file").select_related("made_by")
        page = Paginator(kept, EXPORTS_A_PAGE).get_page(request.GET.get("page"))
        context = {
            "page": page,
            "exports": [(export, expires_at(export)) for export in page],
            "of_everybody": user.has_perm(SEE_EVERY_COURSE),
            "days": settings.EXPORT_RETENTION_DAYS,
        }
        return self._render(request, "report_exports", _("Exports"), context)

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        export = get_object_or_404(exports_of(_user(request), at=timezone.now()), pk=pk)
        try:
            return file_response(export)
        except ExportUnreadableError as error:
            messages.error(request, str(error))
            return redirect("admin:checkin_report_exports")

    # Whom to warn

    def has_warn_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkin.add_attendancewarning")

    def warn_view(self, request: HttpRequest) -> HttpResponse:
        form = WarnForm(request.GET or None, courses=_courses(request).order_by("code"))
        if request.method == "POST":
            return self._warned(request, form)
        low = whom_to_warn(
            form.chosen,
            form.term,
            threshold=form.typed_threshold,
            min_sessions=form.least,
            at=timezone.now(),
        )
        context = {
            "form": form,
            "low": low,
            "least": form.least,
            "may_warn": self.has_warn_permission(request),
            "can_be_warned": sum(one.can_be_warned for one in low),
            "without_rule": []
            if form.typed_threshold
            else [one for one in form.chosen if one.required_percentage is None],
        }
        return self._render(request, "report_warn", _("Whom to warn"), context)

    def _warned(self, request: HttpRequest, form: WarnForm) -> HttpResponse:
        if not self.has_warn_permission(request):
            raise PermissionDenied
        if form.is_bound and not form.is_valid():
            return redirect(request.get_full_path())
        count = warn(
            form.chosen,
            form.term,
            threshold=form.typed_threshold,
            min_sessions=form.least,
            chosen=request.POST.getlist("student"),
            user=_user(request),
        )
        if count:
            text = ngettext(
                "%(count)d student was mailed.", "%(count)d students were mailed.", count
            )
            messages.success(request, text % {"count": count})
        else:
            messages.warning(request, _("Nobody was mailed: choose students who can be warned."))
        return redirect(request.get_full_path())

    def _render(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return render(request, f"admin/checkin/{template}.html", {**frame, **context})


def _shown(column: Column, line: Any) -> object:
    """A cell for the page: statuses get their letter and their name."""
    value = column.cell(line)
    if column.kind == "marks":
        return [MARKS.get(code) for code in cast(list[str], value)]
    return MARKS.get(cast(str, value)) if column.kind == "status" else value


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _courses(request: HttpRequest) -> Any:
    return courses_of(_user(request))


def _subject(found: Found, term: Term) -> str:
    if term.since and term.until:
        return f"{found.subject}, {term.since} – {term.until}"
    if term.since:
        return _("%(subject)s, from %(day)s") % {"subject": found.subject, "day": term.since}
    if term.until:
        return _("%(subject)s, to %(day)s") % {"subject": found.subject, "day": term.until}
    return found.subject


def file_response(export: ReportExport) -> HttpResponse:
    """An export as a download that no cache keeps."""
    response = HttpResponse(
        content_of(export), content_type=_CONTENT_TYPES[ReportExport.Kind(export.kind)]
    )
    response.headers["Content-Disposition"] = f'attachment; filename="{export.file_name}"'
    response.headers["Cache-Control"] = "no-store, private"
    return response


_CONTENT_TYPES = {
    ReportExport.Kind.CSV: "text/csv; charset=utf-8",
    ReportExport.Kind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def _chosen_columns(request: HttpRequest) -> list[str]:
    """The ticked ones in the order of the page, one of them moved by a place."""
    shown = set(request.POST.getlist("shown"))
    codes = [code for code in request.POST.getlist("order") if code in shown]
    for way, step in (("up", -1), ("down", 1)):
        moved = request.POST.get(way)
        if moved in codes:
            here = codes.index(moved)
            there = min(max(here + step, 0), len(codes) - 1)
            codes.insert(there, codes.pop(here))
    return codes


def _back(request: HttpRequest) -> str:
    """The report from which somebody came, if it is a page of ours."""
    asked = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(asked, allowed_hosts={request.get_host()}):
        return asked
    return reverse("admin:checkin_reportexport_changelist")
