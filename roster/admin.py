from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from allauth.account.models import EmailAddress
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, ForeignKey, ManyToManyField, OuterRef, Q, QuerySet, Subquery
from django.forms import ModelChoiceField, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from roster.forms import ClassSessionForm, SessionSeriesForm
from roster.imports.admin import ByFileMixin
from roster.imports.class_lists import ClassListResource
from roster.imports.courses import CourseResource
from roster.imports.forms import ClassListImportForm, ConfirmClassListImportForm
from roster.imports.students import StudentResource
from roster.models import (
    ClassSession,
    Course,
    CourseEnrolment,
    Holiday,
    Room,
    RosterClaim,
    SessionSeries,
    Student,
)
from roster.scoping import CourseFilter, CourseScopedAdmin, ReadOnlyAdmin
from roster.selectors import SEE_EVERY_COURSE, courses_of
from roster.series import (
    SeriesPlan,
    SeriesRefusedError,
    delete_holiday,
    delete_series,
    delete_session,
    preview_of,
    save_holiday,
    save_series,
)
from roster.services import (
    ClaimRefusedError,
    approve_claim,
    delete_enrolment,
    reject_claim,
    save_enrolment,
    save_student,
)

STATE_SIGNS = {
    ClassSession.State.PLANNED: "○",
    ClassSession.State.OPEN: "●",
    ClassSession.State.CLOSED: "✓",
}


@admin.register(Room)
class RoomAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    search_fields = ["name"]


@admin.register(Student)
class StudentAdmin(ByFileMixin, CourseScopedAdmin):
    resource_classes = [StudentResource]
    sample_file = "roster/sample-students.csv"

    course_path = "enrolments__course"
    list_display = ["name", "student_id", "email"]
    list_filter = [CourseFilter]
    search_fields = ["name", "student_id", "email"]
    autocomplete_fields = ["user"]

    def save_model(self, request: HttpRequest, obj: Student, form: Any, change: bool) -> None:
        save_student(obj, changed=form.changed_data)


@admin.register(RosterClaim)
class RosterClaimAdmin(ReadOnlyAdmin):
    """Accounts that say which student they are: compare both addresses, then decide."""

    course_path = "student__enrolments__course"
    list_display = [
        "account",
        "confirmed_address",
        "student",
        "roster_address",
        "status",
        "made_at",
    ]
    list_display_links = ["account", "student"]
    list_filter = ["status"]
    list_select_related = ["user", "student"]
    ordering = ["-status", "made_at"]  # those that wait come first
    search_fields = ["user__username", "user__email", "student__name", "student__student_id"]
    fields = [
        "account",
        "confirmed_address",
        "student",
        "roster_address",
        "status",
        "made_at",
        "decided_at",
        "decided_by",
    ]
    actions = ["approve", "reject"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RosterClaim]:
        confirmed = EmailAddress.objects.filter(user=OuterRef("user"), verified=True)
        first = confirmed.order_by("-primary", "pk").values("email")[:1]
        return super().get_queryset(request).annotate(confirmed_address=Subquery(first))

    @admin.display(description=_("account"), ordering="user__username")
    def account(self, claim: RosterClaim) -> str:
        return claim.user.get_username()

    @admin.display(description=_("confirmed e-mail"), ordering="confirmed_address")
    def confirmed_address(self, claim: RosterClaim) -> str:
        return claim.confirmed_address or str(_("none"))  # type: ignore[attr-defined]

    @admin.display(description=_("e-mail on the roster"), ordering="student__email")
    def roster_address(self, claim: RosterClaim) -> str:
        return claim.student.email or str(_("none"))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("roster.change_rosterclaim")

    @admin.action(description=_("Approve: link the account"), permissions=["decide"])
    def approve(self, request: HttpRequest, claims: QuerySet[RosterClaim]) -> None:
        approved = self._decided(request, claims, approve_claim)
        self._report(
            request,
            ngettext("%(count)d claim was approved.", "%(count)d claims were approved.", approved),
            approved,
        )

    @admin.action(description=_("Reject"), permissions=["decide"])
    def reject(self, request: HttpRequest, claims: QuerySet[RosterClaim]) -> None:
        rejected = self._decided(request, claims, reject_claim)
        self._report(
            request,
            ngettext("%(count)d claim was rejected.", "%(count)d claims were rejected.", rejected),
            rejected,
        )

    def _decided(
        self, request: HttpRequest, claims: QuerySet[RosterClaim], decide: Callable[..., None]
    ) -> int:
        """How many could be decided. One that cannot be is told, and stops no other."""
        decided = 0
        for claim in claims:
            try:
                decide(claim=claim, decided_by=cast(User, request.user))
                decided += 1
            except ClaimRefusedError as refusal:
                account = claim.user.get_username()
                self.message_user(request, f"“{account}”: {refusal}", messages.ERROR)
        return decided

    def _report(self, request: HttpRequest, text: str, count: int) -> None:
        if count:
            self.message_user(request, text % {"count": count}, messages.SUCCESS)


@admin.register(Course)
class CourseAdmin(ByFileMixin, CourseScopedAdmin):
    resource_classes = [CourseResource]
    sample_file = "roster/sample-courses.csv"

    course_path = "pk"
    list_display = ["code", "title", "student_count", "timezone"]
    ordering = ["code"]  # a counting query does not take the model's
    search_fields = ["code", "title"]
    filter_horizontal = ["lecturers"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "code",
                    "title",
                    "lecturers",
                    "timezone",
                    "shown_name",
                    "required_percentage",
                ]
            },
        ),
        (
            _("Sessions"),
            {
                "fields": [
                    "opens_early_min",
                    "late_after_min",
                    "check_out",
                    "min_stay_min",
                    "present_from_percent",
                    "appeal_days",
                    "locks_after_days",
                ]
            },
        ),
        (
            _("Entry"),
            {"fields": ["entry_policy", "liveness", "own_device", "own_device_networks"]},
        ),
        (_("Mails"), {"fields": ["alerts_to", "entry_notices_to"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Course]:
        return super().get_queryset(request).annotate(Count("enrolments"))

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        if db_field.name == "lecturers":
            kwargs["queryset"] = User.objects.filter(is_staff=True).order_by("username")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description=_("students"), ordering="enrolments__count")
    def student_count(self, course: Course) -> str:
        class_list = reverse("admin:roster_courseenrolment_changelist")
        query = urlencode({"course__id__exact": course.pk})
        count = course.enrolments__count  # type: ignore[attr-defined]
        return format_html('<a href="{}?{}">{}</a>', class_list, query, count)


@admin.register(ClassSession)
class ClassSessionAdmin(CourseScopedAdmin):
    """Planning sessions. Closing them, which concerns attendance, is added by `checkin`."""

    form = ClassSessionForm
    list_display = ["__str__", "state", "ends", "room"]
    list_filter = [
        ("course", admin.RelatedOnlyFieldListFilter),
        ("room", admin.RelatedOnlyFieldListFilter),
        "starts_at",
    ]
    list_select_related = ["course", "room"]
    search_fields = ["course__code", "course__title"]
    date_hierarchy = "starts_at"

    @admin.display(description=_("ends"))
    def ends(self, session: ClassSession) -> str:
        return f"{timezone.localtime(session.ends_at, session.course.zone):%H:%M}"

    @admin.display(description=_("state"))
    def state(self, session: ClassSession) -> str:
        state = session.state(timezone.now())
        return format_html(
            '<span class="nowrap"><span aria-hidden="true">{}</span> {}</span>',
            STATE_SIGNS[state],
            state.label,
        )

    @admin.display(description=_("weekly series"))
    def held_by(self, session: ClassSession) -> str:
        if session.series is None:
            return str(_("a single session"))
        page = reverse("admin:roster_sessionseries_change", args=[session.series.pk])
        return format_html('<a href="{}">{}</a>', page, session.series)

    def save_model(self, request: HttpRequest, obj: ClassSession, form: Any, change: bool) -> None:
        if change and set(form.changed_data) - {"share_room"}:
            obj.changed_by_hand = True
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: HttpRequest, obj: ClassSession | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.period_lock() is None)

    def delete_model(self, request: HttpRequest, obj: ClassSession) -> None:
        delete_session(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ClassSession]) -> None:
        for session in queryset.select_related("series", "course"):
            if session.period_lock() is None:
                delete_session(session)
            else:
                text = _("%(session)s stays: its day is locked.") % {"session": session}
                self.message_user(request, text, messages.ERROR)


@admin.register(SessionSeries)
class SessionSeriesAdmin(CourseScopedAdmin):
    """Nothing is written before the dates have been shown."""

    form = SessionSeriesForm
    fields = [
        "course",
        "room",
        "weekdays",
        "start_time",
        "end_time",
        "first_day",
        "last_day",
        "interval_weeks",
    ]
    change_form_template = "admin/roster/series_form.html"
    list_display = ["course", "weekday_names", "hours", "first_day", "last_day", "room"]
    list_filter = [("course", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["course", "room"]
    search_fields = ["course__code", "course__title"]

    @admin.display(description=_("weekdays"))
    def weekday_names(self, series: SessionSeries) -> str:
        return series.days

    @admin.display(description=pgettext_lazy("of the day", "hours"), ordering="start_time")
    def hours(self, series: SessionSeries) -> str:
        return f"{series.start_time:%H:%M}–{series.end_time:%H:%M}"

    def get_readonly_fields(
        self, request: HttpRequest, obj: SessionSeries | None = None
    ) -> list[str]:
        return ["course"] if obj else []

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST" and "_confirmed" not in request.POST:
            series = self.get_object(request, unquote(object_id)) if object_id else None
            form = self._form_for(request, series)
            if form is not None and form.is_valid():
                return self._preview(request, form)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _form_for(
        self, request: HttpRequest, series: SessionSeries | None
    ) -> SessionSeriesForm | None:
        """The form as it was filled in; nothing for who may not save it."""
        if series is None:
            allowed = self.has_add_permission(request)
        else:
            allowed = self.has_change_permission(request, series)
        if not allowed:
            return None
        form_class = self.get_form(request, series, change=series is not None)
        return cast(SessionSeriesForm, form_class(request.POST, instance=series))

    def _form_again(self, form: SessionSeriesForm) -> str:
        """The address of the form; a new series is filled in as it was."""
        if form.instance.pk:
            return reverse("admin:roster_sessionseries_change", args=[form.instance.pk])
        typed = {name: form[name].value() or "" for name in form.fields}
        typed["weekdays"] = ",".join(typed["weekdays"])
        return f"{reverse('admin:roster_sessionseries_add')}?{urlencode(typed)}"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        if "weekdays" in initial:
            initial["weekdays"] = initial["weekdays"].split(",")
        return initial

    def _preview(self, request: HttpRequest, form: SessionSeriesForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The dates of the series"),
            "form": form,
            "series": form.instance,
            "dates": preview_of(cast(SeriesPlan, form.plan), form.instance),
            "plan": form.plan,
            "back": self._form_again(form),
        }
        return render(request, "admin/roster/series_preview.html", context)

    def save_model(self, request: HttpRequest, obj: SessionSeries, form: Any, change: bool) -> None:
        try:
            plan = save_series(obj, at=timezone.now())
        except SeriesRefusedError as refusal:
            # Between the check of the form and now somebody else took the time.
            raise PermissionDenied(str(refusal)) from refusal
        self.message_user(
            request,
            _("%(new)d sessions were created, %(moved)d moved, %(gone)d deleted.")
            % {"new": len(plan.new), "moved": len(plan.moved), "gone": len(plan.gone)},
        )

    def delete_model(self, request: HttpRequest, obj: SessionSeries) -> None:
        gone, stay = delete_series(obj, at=timezone.now())
        self.message_user(
            request,
            _("%(gone)d sessions to come were deleted, %(stay)d stay as single sessions.")
            % {"gone": gone, "stay": stay},
        )

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SessionSeries]) -> None:
        for series in queryset:
            self.delete_model(request, series)


@admin.register(Holiday)
class HolidayAdmin(CourseScopedAdmin):
    """Lecturers see those of all courses and write those of their own."""

    list_display = ["name", "first_day", "last_day", "courses"]
    list_select_related = ["course"]
    search_fields = ["name"]

    @admin.display(description=_("course"), ordering="course__code")
    def courses(self, holiday: Holiday) -> str:
        return str(holiday.course or _("all courses"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Holiday]:
        # Not the scope of the others: it would hide the holidays of all courses.
        rows = super(CourseScopedAdmin, self).get_queryset(request)
        user = cast(User, request.user)
        if user.has_perm(SEE_EVERY_COURSE):
            return rows
        return rows.filter(Q(course=None) | Q(course__in=courses_of(user)))

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and not request.user.has_perm(SEE_EVERY_COURSE):
            field.required = True
            field.help_text = ""
        return field

    def has_change_permission(self, request: HttpRequest, obj: Holiday | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_write(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Holiday | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_write(request, obj)

    def _may_write(self, request: HttpRequest, holiday: Holiday | None) -> bool:
        if holiday is None or holiday.course_id is not None:
            return True
        return request.user.has_perm(SEE_EVERY_COURSE)

    def save_model(self, request: HttpRequest, obj: Holiday, form: Any, change: bool) -> None:
        gone = save_holiday(obj, at=timezone.now())
        if gone:
            text = ngettext(
                "%(count)d session of a weekly series was deleted.",
                "%(count)d sessions of weekly series were deleted.",
                gone,
            )
            self.message_user(request, text % {"count": gone})

    def delete_model(self, request: HttpRequest, obj: Holiday) -> None:
        delete_holiday(obj, at=timezone.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Holiday]) -> None:
        for holiday in queryset:
            delete_holiday(holiday, at=timezone.now())


@admin.register(CourseEnrolment)
class CourseEnrolmentAdmin(ByFileMixin, CourseScopedAdmin):
    """Class lists, with their way in and out by file."""

    resource_classes = [ClassListResource]
    import_form_class = ClassListImportForm
    confirm_form_class = ConfirmClassListImportForm
    sample_file = "roster/sample-class-list.csv"

    list_display = ["student", "course", "joined_on", "left_on"]
    list_filter = [
        ("course", admin.RelatedOnlyFieldListFilter),
        ("left_on", admin.EmptyFieldListFilter),
    ]
    list_select_related = ["student", "course"]
    search_fields = ["student__name", "student__student_id"]
    autocomplete_fields = ["student"]

    def save_model(
        self, request: HttpRequest, obj: CourseEnrolment, form: Any, change: bool
    ) -> None:
        save_enrolment(obj)

    def delete_model(self, request: HttpRequest, obj: CourseEnrolment) -> None:
        delete_enrolment(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[CourseEnrolment]) -> None:
        for enrolment in queryset:
            delete_enrolment(enrolment)

    def get_confirm_form_initial(
        self, request: HttpRequest, import_form: ClassListImportForm | None
    ) -> dict[str, Any]:
        initial = super().get_confirm_form_initial(request, import_form)
        if import_form is not None:
            initial["course"] = import_form.cleaned_data["course"].pk
            initial["end_missing"] = import_form.cleaned_data["end_missing"]
        return initial

    def resource_kwargs_of(self, chosen: dict[str, Any]) -> dict[str, Any]:
        return {"course": chosen.get("course"), "end_missing": bool(chosen.get("end_missing"))}

    def subject_of(self, chosen: dict[str, Any]) -> str:
        return str(chosen["course"])
