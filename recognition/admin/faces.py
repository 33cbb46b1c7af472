from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.forms import EnrolmentForm
from recognition.models import Consent, FaceTemplate, StudentFace
from recognition.selectors import has_consent, with_recognisability
from recognition.services import (
    EnrolmentResult,
    enrol_face,
    record_consent,
    revoke_template,
    withdraw_consent,
)
from recognition.template_updates import bring_back
from recognition.workers import active_model_id
from roster.scoping import CourseFilter, CourseScopedAdmin, ReadOnlyAdmin

RECOGNISABILITY = {
    "ready": ("✓", _("can be recognised")),
    "waiting": ("…", _("waits for approval")),
    "re_enrol": ("↻", _("must enrol again")),
    "no_photo": ("○", _("no photo yet")),
    "declined": ("✗", _("declined")),
    "no_consent": ("–", _("not asked yet")),
}


class RecognisabilityFilter(admin.SimpleListFilter):
    title = _("recognition")
    parameter_name = "recognition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, str(text)) for code, (_sign, text) in RECOGNISABILITY.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(recognisability=self.value()) if self.value() else queryset


@admin.register(StudentFace)
class StudentFaceAdmin(CourseScopedAdmin):
    """Who can be recognised, and the way to enrol a face from photos."""

    course_path = "enrolments__course"
    list_display = ["name", "student_id", "recognition", "enrol_link"]
    list_filter = [RecognisabilityFilter, CourseFilter]
    search_fields = ["name", "student_id"]
    actions = ["enrol", "withdraw"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StudentFace]:
        return with_recognisability(super().get_queryset(request), model_id=active_model_id())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StudentFace | None = None) -> bool:
        return False

    @admin.display(description=_("recognition"), ordering="recognisability")
    def recognition(self, student: StudentFace) -> str:
        sign, text = RECOGNISABILITY[student.recognisability]  # type: ignore[attr-defined]
        return f"{sign} {text}"

    @admin.display(description="")
    def enrol_link(self, student: StudentFace) -> str:
        url = reverse("admin:recognition_studentface_change", args=[student.pk])
        return format_html('<a href="{}">{}</a>', url, _("Enrol from photos"))

    @admin.action(description=_("Enrol from photos"), permissions=["change"])
    def enrol(
        self, request: HttpRequest, students: QuerySet[StudentFace]
    ) -> HttpResponseRedirect | None:
        if students.count() != 1:
            self.message_user(
                request,
                _("Choose one student: each face is enrolled from the own pictures."),
                messages.ERROR,
            )
            return None
        return HttpResponseRedirect(
            reverse("admin:recognition_studentface_change", args=[students.get().pk])
        )

    @admin.action(description=_("Withdraw consent and erase templates"), permissions=["change"])
    def withdraw(self, request: HttpRequest, students: QuerySet[StudentFace]) -> None:
        erased = sum(withdraw_consent(student=student).templates for student in students)
        self.message_user(
            request,
            _("Consent was withdrawn; %(count)d templates were erased.") % {"count": erased},
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The student's row itself is changed on the roster; here the face is enrolled."""
        student = get_object_or_404(
            self.get_queryset(request), pk=object_id if object_id.isdecimal() else None
        )
        if not self.has_change_permission(request, student):
            raise PermissionDenied
        form = EnrolmentForm(request.POST or None, request.FILES or None)
        result = self._enrolled(request, student, form) if form.is_valid() else None
        if result is not None:
            student = self.get_queryset(request).get(pk=student.pk)
        sign, text = RECOGNISABILITY[student.recognisability]  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Enrol from photos"),
            "student": student,
            "recognition": f"{sign} {text}",
            "has_consent": has_consent(student),
            "policy_version": settings.CONSENT_POLICY_VERSION,
            "form": form,
            "result": result,
        }
        return render(request, "admin/recognition/enrol.html", context)

    def _enrolled(
        self, request: HttpRequest, student: StudentFace, form: EnrolmentForm
    ) -> EnrolmentResult | None:
        user = cast(User, request.user)
        if form.cleaned_data["consent"]:
            record_consent(student=student, given_via=Consent.GivenVia.IN_PERSON, recorded_by=user)
        try:
            return enrol_face(
                student=student,
                photos=[photo.read() for photo in form.cleaned_data["photos"]],
                enrolled_by=user,
            )
        except (EngineError, WorkerLostError) as error:
            form.add_error(None, str(error))
            return None


@admin.register(FaceTemplate)
class FaceTemplateAdmin(ReadOnlyAdmin):
    """Which templates there are. The vectors are shown to nobody."""

    course_path = "student__enrolments__course"
    list_display = [
        *("student", "model_id", "origin", "photo_count", "agreement", "similarity"),
        *("created_at", "revoked_at"),
    ]
    list_filter = ["model_id", "origin", ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["student"]
    search_fields = ["student__name", "student__student_id"]
    exclude = ["sealed_vector", "sealed_parts"]
    actions = ["revoke", "bring_back"]

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, templates: QuerySet[FaceTemplate]) -> None:
        for template in templates:
            revoke_template(template)
        self.message_user(request, _("The templates were revoked."))

    @admin.action(description=_("Bring back as enrolled"), permissions=["revoke"])
    def bring_back(self, request: HttpRequest, templates: QuerySet[FaceTemplate]) -> None:
        now, by = timezone.now(), cast(User, request.user)
        done = [bring_back(template, at=now, by=by) for template in templates]
        self.message_user(
            request,
            _("%(count)d of %(chosen)d templates had learned from check-ins and were brought back.")
            % {"count": len(done) - done.count(None), "chosen": len(done)},
        )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("recognition.change_facetemplate")


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    course_path = "student__enrolments__course"
    list_display = ["student", "policy_version", "given_via", "given_at", "withdrawn_at"]
    list_filter = ["policy_version", ("withdrawn_at", admin.EmptyFieldListFilter)]
    list_select_related = ["student"]
    search_fields = ["student__name", "student__student_id"]
