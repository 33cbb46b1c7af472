"""The lecturer's queue: pictures beside the roster entry, and a decision."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from recognition.models import FaceRegistration, Resemblance
from recognition.registration import (
    REFUSALS,
    approve_registration,
    reject_registration,
)
from recognition.selectors import pictures_of
from roster.scoping import CourseFilter, ReadOnlyAdmin
from roster.selectors import students_of

Status = FaceRegistration.Status

REASONS = (
    _("The pictures show somebody else."),
    _("The pictures are too dark or blurred."),
    _("The face is partly covered."),
    _("Please come to me with your student card."),
)


class StateFilter(admin.SimpleListFilter):
    """Without a choice, what waits for a decision."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        states = (Status.APPROVED, Status.REJECTED, Status.AWAITING_CONSENT, Status.CANCELLED)
        return [*((state.value, str(state.label)) for state in states), ("all", str(_("all")))]

    def choices(self, changelist: Any) -> Any:
        waiting, *others = super().choices(changelist)
        yield {**waiting, "display": Status.PENDING.label}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(status=self.value() or Status.PENDING)


@admin.register(FaceRegistration)
class FaceRegistrationAdmin(ReadOnlyAdmin):
    course_path = "student__enrolments__course"
    list_display = ["student", "state", "since", "agreement_shown", "warning", "decided_by"]
    list_filter = [StateFilter, CourseFilter]
    list_select_related = ["student", "decided_by"]
    search_fields = ["student__name", "student__student_id"]
    ordering = ["submitted_at", "pk"]
    actions = ["approve", "reject"]

    class Media:
        css = {"all": ["recognition/photos.css", "recognition/review.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[FaceRegistration]:
        same_face = Resemblance.objects.filter(
            student=OuterRef("student"), kind=Resemblance.Kind.SAME_FACE
        )
        registrations = super().get_queryset(request).exclude(status=Status.DRAFT)
        return registrations.annotate(is_double=Exists(same_face))

    def get_list_display(self, request: HttpRequest) -> Any:
        """The pictures stand beside the roster entry, for those who may see them."""
        if not request.user.has_perm("recognition.view_registrationphoto"):
            return self.list_display
        return ["student", "pictures", *self.list_display[1:]]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("recognition.change_faceregistration")

    # The list

    @admin.display(description=_("pictures"))
    def pictures(self, registration: FaceRegistration) -> str:
        return format_html(
            '<span class="pictures-small">{}</span>',
            format_html_join(
                "",
                '<img src="{}" alt="" loading="lazy">',
                ((reverse("face_photo", args=[photo.pk]),) for photo in pictures_of(registration)),
            ),
        )

    @admin.display(description=_("agreement"), ordering="agreement")
    def agreement_shown(self, registration: FaceRegistration) -> str:
        return "–" if registration.agreement is None else f"{registration.agreement:.3f}"

    @admin.display(description=_("state"), ordering="status")
    def state(self, registration: FaceRegistration) -> str:
        return registration.get_status_display()

    @admin.display(description=_("since"), ordering="submitted_at")
    def since(self, registration: FaceRegistration) -> str:
        moment = registration.decided_at or registration.submitted_at or registration.created_at
        return timesince(moment, depth=1)

    @admin.display(description="")
    def warning(self, registration: FaceRegistration) -> str:
        if not registration.is_double:  # type: ignore[attr-defined]
            return ""
        return f"⚠ {_('the same face twice')}"

    @admin.action(description=_("Approve"), permissions=["decide"])
    def approve(self, request: HttpRequest, registrations: QuerySet[FaceRegistration]) -> None:
        """Whose face resembles another account's is looked at one by one."""
        approved, doubles = 0, 0
        for registration in registrations.filter(status=Status.PENDING):
            if registration.is_double:  # type: ignore[attr-defined]
                doubles += 1
            elif self._approved(request, registration):
                approved += 1
        self.message_user(request, _("%(count)d were approved.") % {"count": approved})
        if doubles:
            self.message_user(
                request,
                _("%(count)d resemble another account: open each and decide.") % {"count": doubles},
                messages.WARNING,
            )

    @admin.action(description=_("Reject with a reason"), permissions=["decide"])
    def reject(
        self, request: HttpRequest, registrations: QuerySet[FaceRegistration]
    ) -> HttpResponse | None:
        waiting = registrations.filter(status=Status.PENDING)
        reason = request.POST.get("reason", "").strip()
        if "reason" in request.POST and reason:
            rejected = sum(self._rejected(request, one, reason) for one in waiting)
            self.message_user(request, _("%(count)d were rejected.") % {"count": rejected})
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Reject with a reason"),
            "registrations": waiting,
            "reasons": REASONS,
            "missing": "reason" in request.POST,
            "action_checkbox_name": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return render(request, "admin/recognition/reject.html", context)

    # One registration

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not object_id.isdecimal():
            raise Http404
        registration = self.get_object(request, object_id)
        if registration is None:
            raise Http404
        if not self.has_view_permission(request, registration):
            raise PermissionDenied
        if request.method == "POST":
            return self._decide(request, registration)
        may_decide = self.has_decide_permission(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": registration.student.name,
            "registration": registration,
            "student": registration.student,
            "may_decide": may_decide and registration.status == Status.PENDING,
            "pictures": pictures_of(registration)
            if request.user.has_perm("recognition.view_registrationphoto")
            else [],
            "resemblances": self._resemblances(request, registration),
            "history": self.get_queryset(request)
            .filter(student=registration.student)
            .select_related("decided_by"),
            "reasons": REASONS,
            "next_url": self._url_of_next(request, registration),
        }
        return render(request, "admin/recognition/registration.html", context)

    def _decide(self, request: HttpRequest, registration: FaceRegistration) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        next_url = self._url_of_next(request, registration)
        if request.POST.get("decision") == "approve":
            decided = self._approved(request, registration)
            text = _("%(student)s was approved.")
        else:
            decided = self._rejected(request, registration, request.POST.get("reason", ""))
            text = _("%(student)s was rejected.")
        if not decided:
            return HttpResponseRedirect(request.path)
        self.message_user(request, text % {"student": registration.student})
        return HttpResponseRedirect(
            next_url or reverse("admin:recognition_faceregistration_changelist")
        )

    def _approved(self, request: HttpRequest, registration: FaceRegistration) -> bool:
        try:
            approve_registration(registration=registration, decided_by=cast(User, request.user))
        except REFUSALS as error:
            self.message_user(request, str(error), messages.ERROR)
            return False
        return True

    def _rejected(self, request: HttpRequest, registration: FaceRegistration, reason: str) -> bool:
        try:
            reject_registration(
                registration=registration, decided_by=cast(User, request.user), reason=reason
            )
        except REFUSALS as error:
            self.message_user(request, str(error), messages.ERROR)
            return False
        return True

    def _resemblances(
        self, request: HttpRequest, registration: FaceRegistration
    ) -> list[tuple[Resemblance, str]]:
        """With the other's name only where the user may see that student."""
        found = list(registration.student.resemblances.select_related("other"))
        visible = set(
            students_of(cast(User, request.user))
            .filter(pk__in=[one.other_id for one in found])
            .values_list("pk", flat=True)
        )
        unnamed = str(_("a student who is in none of your courses"))
        return [(one, str(one.other) if one.other_id in visible else unnamed) for one in found]

    def _url_of_next(self, request: HttpRequest, registration: FaceRegistration) -> str:
        """The one that has waited longest, after this one and then from the start."""
        waiting = self.get_queryset(request).filter(status=Status.PENDING)
        others = waiting.exclude(pk=registration.pk).order_by("submitted_at", "pk")
        following = (
            others.filter(submitted_at__gte=registration.submitted_at).first()
            if registration.submitted_at
            else None
        ) or others.first()
        if following is None:
            return ""
        return reverse("admin:recognition_faceregistration_change", args=[following.pk])
