"""The desk's pages of passes: who has one, who used one, and mailing new ones.

The code of a pass is on no page: it leaves the system in the mail, and only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import User
from checkin.passes.models import EntryPass, PassUse
from checkin.passes.selectors import passes_in_force, students_without_pass
from checkin.passes.services import issue_passes, revoke_passes
from roster.admin import CourseAdmin, CourseEnrolmentAdmin
from roster.models import Course, CourseEnrolment, EntryPolicy, Student
from roster.scoping import CourseFilter, ReadOnlyAdmin

if TYPE_CHECKING:
    Base = admin.ModelAdmin
else:
    Base = object

STATE_SIGNS = {
    EntryPass.State.IN_FORCE: "●",
    EntryPass.State.USED: "✓",
    EntryPass.State.REVOKED: "✗",
    EntryPass.State.EXPIRED: "○",
}
#: So many are named to the lecturer; the rest is counted.
NAMED = 5

admin.site.unregister(Course)
admin.site.unregister(CourseEnrolment)


class PassActions(Base):
    """For lists whose rows stand for students."""

    def has_mail_pass_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkin.add_entrypass")

    def has_end_pass_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("checkin.change_entrypass")

    def students_of_rows(self, rows: QuerySet[Any]) -> QuerySet[Student]:
        raise NotImplementedError(f"{type(self).__name__} does not say whom its rows stand for")

    @admin.action(description=gettext_lazy("Mail a new pass"), permissions=["mail_pass"])
    def mail_pass(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self._mail_to(request, self.students_of_rows(rows))

    @admin.action(description=gettext_lazy("Revoke the mailed pass"), permissions=["end_pass"])
    def end_pass(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        ended = sum(revoke_passes(student) for student in self.students_of_rows(rows))
        text = ngettext("%(count)d pass was revoked.", "%(count)d passes were revoked.", ended)
        self.message_user(request, text % {"count": ended})

    def _mail_to(self, request: HttpRequest, students: QuerySet[Student]) -> None:
        reached = students.select_related("user").prefetch_related("courses")
        mailed = issue_passes(
            students=list(reached), by=cast(User, request.user), at=timezone.now()
        )
        if count := len(mailed.passes):
            text = ngettext("%(count)d pass was mailed.", "%(count)d passes were mailed.", count)
            self.message_user(request, text % {"count": count}, messages.SUCCESS)
        elif not mailed.without_address:
            self.message_user(request, _("Nobody needs a pass: no mail was sent."))
        if mailed.without_address:
            self.message_user(request, _not_reached(mailed.without_address), messages.WARNING)


def _not_reached(students: Sequence[Student]) -> str:
    named = ", ".join(str(student) for student in students[:NAMED])
    if len(students) > NAMED:
        named = _("%(named)s and %(count)d more") % {
            "named": named,
            "count": len(students) - NAMED,
        }
    return _(
        "No e-mail address, so no pass: %(named)s. Have the address written into the roster, or "
        "ask them to link an account."
    ) % {"named": named}


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("in_force", gettext_lazy("in force")),
            ("used", gettext_lazy("used")),
            ("ended", gettext_lazy("revoked or expired")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        in_force = Q(pk__in=passes_in_force(timezone.now()).values("pk"))
        used = Q(used_at__isnull=False)
        chosen = {"in_force": in_force, "used": used, "ended": ~in_force & ~used}
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(EntryPass)
class EntryPassAdmin(PassActions, ReadOnlyAdmin):
    course_path = "student__enrolments__course"
    list_display = ["student", "state", "issued_at", "expires_at", "used_at", "issuer"]
    list_filter = [StateFilter, CourseFilter]
    list_select_related = ["student", "issued_by"]
    search_fields = ["student__name", "student__student_id"]
    date_hierarchy = "issued_at"
    fields = ["student", "state", "issued_at", "expires_at", "used_at", "revoked_at", "issuer"]
    actions = ["mail_pass", "end_pass"]

    @admin.display(description=gettext_lazy("state"))
    def state(self, entry_pass: EntryPass) -> str:
        state = entry_pass.state(timezone.now())
        return format_html(
            '<span class="nowrap"><span aria-hidden="true">{}</span> {}</span>',
            STATE_SIGNS[state],
            state.label,
        )

    @admin.display(description=gettext_lazy("issued by"))
    def issuer(self, entry_pass: EntryPass) -> str:
        return entry_pass.issued_by.get_username() if entry_pass.issued_by else _("the system")

    def students_of_rows(self, rows: QuerySet[EntryPass]) -> QuerySet[Student]:
        return Student.objects.filter(pk__in=rows.order_by().values("student"))


@admin.register(PassUse)
class PassUseAdmin(ReadOnlyAdmin):
    course_path = "session__course"
    list_display = ["at", "student", "kind", "session", "kiosk"]
    list_filter = [
        ("session__course", admin.RelatedOnlyFieldListFilter),
        ("kiosk", admin.RelatedOnlyFieldListFilter),
        "kind",
        "at",
    ]
    list_select_related = ["student", "session__course", "kiosk"]
    search_fields = ["student__name", "student__student_id"]
    date_hierarchy = "at"
    fields = ["at", "student", "kind", "session", "kiosk"]


@admin.register(CourseEnrolment)
class ClassListAdmin(PassActions, CourseEnrolmentAdmin):
    actions = ["mail_pass", "end_pass"]

    def students_of_rows(self, rows: QuerySet[CourseEnrolment]) -> QuerySet[Student]:
        return Student.objects.filter(pk__in=rows.order_by().values("student"))


@admin.register(Course)
class CoursePagesAdmin(PassActions, CourseAdmin):
    actions = ["mail_missing_passes"]

    @admin.action(
        description=gettext_lazy("Mail a pass to everybody who has none in force"),
        permissions=["mail_pass"],
    )
    def mail_missing_passes(self, request: HttpRequest, courses: QuerySet[Course]) -> None:
        for course in courses:
            if course.entry_policy == EntryPolicy.FACE:
                self.message_user(
                    request,
                    _("%(course)s takes no pass. Choose another way of entry for it first.")
                    % {"course": course.code},
                    messages.WARNING,
                )
        taking = [course for course in courses if course.entry_policy != EntryPolicy.FACE]
        if taking:
            self._mail_to(request, students_without_pass(taking, timezone.now()))
