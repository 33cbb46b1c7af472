"""The desk's pages of export profiles, with their preview, and of scheduled exports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from checkin.reports.admin import file_response
from integrations.payroll.files import UnwritableError, headings, hours_text, shown_values
from integrations.payroll.forms import (
    PeriodForm,
    ProfileForm,
    ScheduleForm,
    month_before,
    week_before,
)
from integrations.payroll.hours import Flag
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from integrations.payroll.selectors import (
    SHARE,
    Sheet,
    courses_in,
    locks_over,
    profiles_of,
    runs_of,
    schedules_of,
    sheet_of,
)
from integrations.payroll.services import (
    RefusedError,
    make_file,
    run_now,
    save_schedule,
    try_again,
)
from roster.selectors import courses_of

SHOWN_LINES = 50
RUN = "integrations.change_exportrun"

FLAG_WORDS = {
    Flag.NO_LEAVING: gettext_lazy("did not check out: no hours"),
    Flag.OUTSIDE: gettext_lazy("not during the session: no hours"),
    Flag.OVERLAP: gettext_lazy("in two sessions at once: counted once"),
}
STATE_SIGNS = {
    ExportRun.State.WAITING: "◷",
    ExportRun.State.RUNNING: "→",
    ExportRun.State.DELIVERED: "✓",
    ExportRun.State.FAILED: "✕",
}


@admin.register(ExportProfile)
class ExportProfileAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """Ready and own profiles. Whoever may not change one copies it."""

    form = ProfileForm
    fieldsets = [
        (None, {"fields": ["name", "shared", "kind", "courses", "columns"]}),
        (
            gettext_lazy("Hours"),
            {
                "fields": [
                    "grouping",
                    "by_course",
                    "rounding",
                    "rounding_step_min",
                    "rounding_level",
                    "break_after_min",
                    "break_min",
                ]
            },
        ),
        (
            gettext_lazy("File"),
            {
                "fields": [
                    "file_kind",
                    "header",
                    "hours_as",
                    "date_format",
                    "time_format",
                    "delimiter",
                    "decimal_separator",
                    "quoting",
                    "encoding",
                ]
            },
        ),
    ]
    list_display = ["name", "preview", "kind", "grouping", "file_kind", "whose"]
    list_filter = ["kind"]
    list_select_related = ["owner"]
    search_fields = ["name"]
    filter_horizontal = ["courses"]
    readonly_fields = ["columns_shown"]
    actions = ["copy"]
    change_form_template = "admin/integrations/profile_form.html"

    class Media:
        css = {"all": ["integrations/payroll.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportProfile]:
        return profiles_of(_user(request)).order_by("name", "pk")

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if request.user.has_perm(SHARE) else ["shared"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without what only its keeper decides; who may only look is shown columns in words."""
        first = ["name", "shared", "kind", "courses", "columns"]
        if not request.user.has_perm(SHARE):
            first.remove("shared")
        if obj is not None and not self.has_change_permission(request, obj):
            first[-1] = "columns_shown"
        return [(None, {"fields": first}), *self.fieldsets[1:]]

    @admin.display(description=gettext_lazy("columns"))
    def columns_shown(self, profile: ExportProfile) -> str:
        return ", ".join(headings(profile))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "courses":
            kwargs["queryset"] = courses_of(_user(request)).order_by("code")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: ExportProfile | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_theirs(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ExportProfile | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj) and _is_theirs(request, obj)
        return allowed and (obj is None or obj.ready is None)

    def save_model(self, request: HttpRequest, obj: ExportProfile, form: Any, change: bool) -> None:
        if not change:
            obj.owner = _user(request)
        super().save_model(request, obj, form, change)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ExportProfile]) -> None:
        theirs = [one.pk for one in queryset if self.has_delete_permission(request, one)]
        queryset.filter(pk__in=theirs).delete()

    @admin.display(description=gettext_lazy("file"))
    def preview(self, profile: ExportProfile) -> str:
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:integrations_exportprofile_preview", args=[profile.pk]),
            _("Preview"),
        )

    @admin.display(description=gettext_lazy("whose"))
    def whose(self, profile: ExportProfile) -> str:
        if profile.ready:
            return _("ready, for everybody")
        owner = profile.owner.get_username() if profile.owner else _("a former account")
        return _("%(owner)s, for everybody") % {"owner": owner} if profile.shared else owner

    @admin.action(description=gettext_lazy("Copy as an own profile"), permissions=["add"])
    def copy(self, request: HttpRequest, profiles: QuerySet[ExportProfile]) -> None:
        for profile in profiles:
            courses = profile.courses.filter(pk__in=courses_of(_user(request)).values("pk"))
            chosen = list(courses)
            profile.pk, profile.ready, profile.shared = None, None, False
            profile.owner = _user(request)
            profile.name = (_("Copy of %(name)s") % {"name": profile.name})[:100]
            profile.save(force_insert=True)
            profile.courses.set(chosen)
        text = ngettext("%(count)d copy was made.", "%(count)d copies were made.", len(profiles))
        self.message_user(request, text % {"count": len(profiles)})

    # Preview and file

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(never_cache(self.preview_view))
        return [
            path("<int:pk>/preview/", preview, name="integrations_exportprofile_preview"),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the file will say; a post makes it."""
        if not self._may_export(request):
            raise PermissionDenied
        profile = get_object_or_404(self.get_queryset(request), pk=pk)
        own = courses_in(profile, _user(request)).order_by("code")
        form = PeriodForm(_asked(request), courses=own)
        if request.method == "POST" and form.is_valid():
            return self._file(request, profile, form)
        sheet = _sheet(profile, form) if form.is_valid() else None
        today = timezone.localdate()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": profile.name,
            "profile": profile,
            "may_change": self.has_change_permission(request, profile),
            "form": form,
            "periods": [
                (_("Last month"), month_before(today)),
                (_("Last week"), week_before(today)),
                (_("This month"), (today.replace(day=1), today)),
            ],
            "sheet": sheet,
            **(_shown(profile, sheet) if sheet else {}),
        }
        return render(request, "admin/integrations/preview.html", context)

    def _may_export(self, request: HttpRequest) -> bool:
        may_read = request.user.has_perm("checkin.view_attendance")
        return may_read and self.has_view_permission(request)

    def _file(self, request: HttpRequest, profile: ExportProfile, form: PeriodForm) -> HttpResponse:
        try:
            export = make_file(
                profile=profile,
                courses=form.chosen,
                first_day=form.cleaned_data["since"],
                last_day=form.cleaned_data["until"],
                user=_user(request),
                at=timezone.now(),
            )
        except (RefusedError, UnwritableError) as refusal:
            messages.error(request, str(refusal))
            return redirect(request.get_full_path())
        return file_response(export)


def _asked(request: HttpRequest) -> Any:
    """The days of the address; without any, those of the last month."""
    if "since" in request.GET or "until" in request.GET:
        return request.GET
    since, until = month_before(timezone.localdate())
    return {**request.GET.dict(), "since": since, "until": until}


def _sheet(profile: ExportProfile, form: PeriodForm) -> Sheet:
    return sheet_of(
        profile,
        form.chosen,
        first_day=form.cleaned_data["since"],
        last_day=form.cleaned_data["until"],
    )


def _shown(profile: ExportProfile, sheet: Sheet) -> dict[str, Any]:
    locks = locks_over(sheet.courses, sheet.first_day, sheet.last_day)
    clock = ExportProfile(hours_as=ExportProfile.HoursAs.CLOCK)
    return {
        "is_hours": profile.kind == ExportProfile.Kind.HOURS,
        "headings": headings(profile),
        "lines": [shown_values(row, profile) for row in sheet.rows[:SHOWN_LINES]],
        "more": max(0, len(sheet.rows) - SHOWN_LINES),
        "hours": hours_text(sheet.seconds, profile),
        "hours_clock": hours_text(sheet.seconds, clock),
        "break": hours_text(sheet.break_s, profile),
        "flagged": [(one, FLAG_WORDS[Flag(one.flag)]) for one in sheet.flagged[:SHOWN_LINES]],
        "more_flagged": max(0, len(sheet.flagged) - SHOWN_LINES),
        "locked": [course for course, locked in locks if locked],
        "not_locked": [course for course, locked in locks if not locked],
    }


@admin.register(ExportSchedule)
class ExportScheduleAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """Where files go by themselves. Who saves one is answerable for it."""

    form = ScheduleForm
    list_display = ["__str__", "rhythm", "active", "next_run", "last_run", "place"]
    list_filter = ["active", "target"]
    list_select_related = ["profile"]
    search_fields = ["profile__name", "place"]
    actions = ["run_now"]
    change_form_template = "admin/integrations/schedule_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportSchedule]:
        return schedules_of(_user(request)).order_by("next_at", "pk")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "profile":
            kwargs["queryset"] = profiles_of(_user(request)).order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RUN)

    def save_model(
        self, request: HttpRequest, obj: ExportSchedule, form: Any, change: bool
    ) -> None:
        save_schedule(obj, by=_user(request), at=timezone.now())

    @admin.display(description=gettext_lazy("next run"), ordering="next_at")
    def next_run(self, schedule: ExportSchedule) -> str:
        return _on_clock(schedule, schedule.next_at) if schedule.active else "–"

    @admin.display(description=gettext_lazy("last run"))
    def last_run(self, schedule: ExportSchedule) -> str:
        run = schedule.runs.order_by("-created_at", "-pk").first()
        return _state(run) if run else _("never")

    @admin.action(description=gettext_lazy("Run now"), permissions=["run"])
    def run_now(self, request: HttpRequest, schedules: QuerySet[ExportSchedule]) -> None:
        for schedule in schedules:
            self._run(request, schedule)

    def _run(self, request: HttpRequest, schedule: ExportSchedule) -> None:
        try:
            run = run_now(schedule=schedule, at=timezone.now())
        except RefusedError as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            text = _("The file of %(period)s is sent now. Load the page again to see the result.")
            self.message_user(request, text % {"period": run})

    def get_urls(self) -> list[URLPattern]:
        run = self.admin_site.admin_view(require_POST(self.run_view))
        return [
            path("<int:pk>/run/", run, name="integrations_exportschedule_run"),
            *super().get_urls(),
        ]

    def run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        schedule = get_object_or_404(self.get_queryset(request), pk=pk)
        self._run(request, schedule)
        return redirect("admin:integrations_exportschedule_change", pk)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        schedule = self.get_object(request, object_id)
        context = {
            "next_run": self.next_run(schedule) if schedule else "",
            "may_run": self.has_run_permission(request),
            "runs": [(run, _state(run)) for run in schedule.runs.all()[:10]] if schedule else [],
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))


@admin.register(ExportRun)
class ExportRunAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    """What was sent, what waits, and why."""

    list_display = ["__str__", "schedule", "outcome", "attempts", "next", "error", "file"]
    list_filter = ["state"]
    list_select_related = ["schedule__profile", "export"]
    search_fields = ["schedule__profile__name", "error"]
    actions = ["try_again"]
    fields = [
        "schedule",
        "first_day",
        "last_day",
        "outcome",
        "attempts",
        "next",
        "error",
        "delivered_to",
        "delivered_at",
        "file",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportRun]:
        return runs_of(_user(request)).order_by("-created_at", "-pk")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ExportRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ExportRun | None = None) -> bool:
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RUN)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def outcome(self, run: ExportRun) -> str:
        return _state(run)

    @admin.display(description=gettext_lazy("next attempt"), ordering="next_attempt_at")
    def next(self, run: ExportRun) -> str:
        waits = run.state == ExportRun.State.WAITING
        return _on_clock(run.schedule, run.next_attempt_at) if waits else "–"

    @admin.display(description=gettext_lazy("file"))
    def file(self, run: ExportRun) -> str:
        if run.export is None:
            return "–"
        page = reverse("admin:checkin_report_download", args=[run.export.pk])
        return format_html('<a href="{}">{}</a>', page, run.export.file_name)

    @admin.action(description=gettext_lazy("Try again now"), permissions=["run"])
    def try_again(self, request: HttpRequest, runs: QuerySet[ExportRun]) -> None:
        again = 0
        for run in runs:
            try:
                try_again(run=run, at=timezone.now())
                again += 1
            except RefusedError as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
        if again:
            text = ngettext("%(count)d file is sent now.", "%(count)d files are sent now.", again)
            self.message_user(request, text % {"count": again})


def _state(run: ExportRun) -> str:
    state = ExportRun.State(run.state)
    return format_html(
        '<span class="nowrap"><span aria-hidden="true">{}</span> {}</span>',
        STATE_SIGNS[state],
        state.label,
    )


def _on_clock(schedule: ExportSchedule, moment: datetime) -> str:
    """On the clocks of the schedule."""
    local = timezone.localtime(moment, ZoneInfo(schedule.timezone))
    return f"{local:%Y-%m-%d %H:%M} {schedule.timezone}"


def _is_theirs(request: HttpRequest, profile: ExportProfile | None) -> bool:
    user = _user(request)
    return profile is None or user.has_perm(SHARE) or profile.owner_id == user.pk


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
