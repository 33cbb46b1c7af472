"""Registrations of faces: where they stand, and the decision. Pictures are not told."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from integrations.api import serializers as forms
from integrations.api.etags import check_if_match
from integrations.api.problems import Problem
from integrations.api.serializers import page_answer
from integrations.api.views.base import ApiView, CollectionView, one_of
from recognition.models import FaceRegistration, Resemblance
from recognition.registration import REFUSALS, approve_registration, reject_registration
from roster.selectors import students_of

Status = FaceRegistration.Status


class Registrations(CollectionView):
    """Registrations that were sent in, of the students whom this account may see."""

    read_scope = "registrations:read"
    read_permission = "recognition.view_faceregistration"
    query = forms.RegistrationQuery
    row = forms.RegistrationOut
    answers = {"GET": page_answer(forms.RegistrationOut)}

    def rows(self) -> QuerySet[FaceRegistration]:
        asked = {name: self.asked[name] for name in ("status", "student") if name in self.asked}
        return registrations_of(self.user).filter(**asked)


class RegistrationDetail(ApiView):
    """One registration."""

    read_scope = "registrations:read"
    read_permission = "recognition.view_faceregistration"
    answers = {"GET": forms.RegistrationOut}

    def get(self, request: Request, pk: int) -> Response:
        found = one_of(registrations_of(self.user), pk=pk)
        return Response(self.shown(forms.RegistrationOut, found))


class Decision(ApiView):
    write_scope = "registrations:write"
    write_permission = "recognition.change_faceregistration"
    bodies = {"POST": forms.DecisionIn}
    answers = {"POST": forms.RegistrationOut}
    matched_methods = ("POST",)

    def post(self, request: Request, pk: int) -> Response:
        """Approve or reject what waits. The pictures are deleted with it, the student is told.

        A face that is like another account's is decided at the desk, beside the pictures.
        """
        sent = self.sent()
        registrations = registrations_of(self.user)
        registration = one_of(registrations, pk=pk)
        check_if_match(request, self.shown(forms.RegistrationOut, registration))
        try:
            if sent["decision"] == "approve":
                _check_single(registration)
                approve_registration(registration=registration, decided_by=self.user)
            else:
                reject_registration(
                    registration=registration, decided_by=self.user, reason=sent["reason"]
                )
        except REFUSALS as refusal:
            raise Problem("not_possible", str(refusal)) from refusal
        answer = Response(self.shown(forms.RegistrationOut, one_of(registrations, pk=pk)))
        answer.about_student = registration.student_id  # type: ignore[attr-defined]
        return answer


def registrations_of(user: User) -> QuerySet[FaceRegistration]:
    """As at the desk: without those that a student still prepares."""
    same_face = Resemblance.objects.filter(
        student=OuterRef("student"), kind=Resemblance.Kind.SAME_FACE
    )
    return (
        FaceRegistration.objects.filter(student__in=students_of(user).values("pk"))
        .exclude(status=Status.DRAFT)
        .select_related("student")
        .annotate(is_double=Exists(same_face))
    )


def _check_single(registration: FaceRegistration) -> None:
    if registration.is_double:  # type: ignore[attr-defined]
        raise Problem(
            "not_possible",
            _("This face is like another account's. Look at both at the desk, and decide there."),
        )
