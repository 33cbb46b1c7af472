"""The student's way to a face that may be recognised, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts.limits import within_limit
from accounts.models import User
from recognition.forms import PhotosForm
from recognition.models import Consent, FaceRegistration, RegistrationPhoto
from recognition.photos import MAX_PHOTOS, PhotoVerdict
from recognition.registration import (
    REFUSALS,
    RegistrationRefusedError,
    add_photo,
    agree_to_held_photos,
    cancel_registration,
    remove_photo,
    submit_registration,
)
from recognition.selectors import (
    may_see_photo,
    open_registration,
    pictures_of,
    where_face_stands,
)
from recognition.services import decline_consent, record_consent, withdraw_consent
from recognition.workers import active_model_id
from roster.models import Student

P = ParamSpec("P")


def for_students(
    view: Callable[Concatenate[HttpRequest, Student, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Hand the view the student of the account; without one, the account is linked first."""

    @functools.wraps(view)
    @never_cache
    @login_required
    def with_student(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        student = Student.objects.filter(user=cast(User, request.user)).first()
        if student is None:
            return redirect("roster_claim")
        return view(request, student, *args, **kwargs)

    return with_student


@require_safe
@for_students
def face(request: HttpRequest, student: Student) -> HttpResponse:
    """Where the registration stands, and the next step."""
    standing = where_face_stands(student, model_id=active_model_id())
    context = {
        "student": student,
        "standing": standing,
        "pictures": pictures_of(standing.registration),
    }
    return render(request, "recognition/face.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_students
def consent(request: HttpRequest, student: Student) -> HttpResponse:
    """How the face is used, in clear words, and the two answers."""
    answer = request.POST.get("answer")
    if answer == "agree":
        return _agreed(request, student)
    if answer == "decline":
        decline_consent(student=student)
        messages.success(request, _("Your answer is kept. Nothing of your face is stored."))
        return redirect("face")
    context = {
        "policy_version": settings.CONSENT_POLICY_VERSION,
        "template_days": settings.TEMPLATE_RETENTION_DAYS,
        "attempt_days": settings.ATTEMPT_RETENTION_DAYS,
        "alert_days": settings.ALERT_RETENTION_DAYS,
        "template_updates": settings.TEMPLATE_UPDATES,
    }
    return render(request, "recognition/consent.html", context)


def _agreed(request: HttpRequest, student: Student) -> HttpResponse:
    registration = open_registration(student)
    if registration is None or registration.status != FaceRegistration.Status.AWAITING_CONSENT:
        record_consent(student=student, given_via=Consent.GivenVia.WEB)
        is_known = student.face_templates.filter(revoked_at=None).exists()
        return redirect("face" if is_known or registration else "face_photos")
    return _done_with_registration(
        request, student, agree_to_held_photos, _("Your pictures were sent to your lecturer.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_students
def photos(request: HttpRequest, student: Student) -> HttpResponse:
    """Add pictures, from files or the camera, each with its verdict at once."""
    standing = where_face_stands(student, model_id=active_model_id())
    if standing.consent is None:
        return redirect("face_consent")
    registration = standing.registration
    if registration is not None and registration.status != FaceRegistration.Status.DRAFT:
        return redirect("face")
    if request.method == "POST":
        form = PhotosForm(request.POST, request.FILES)
        verdicts = _verdicts(request, student, form)
        if request.accepts("text/html"):
            for verdict in verdicts:
                level = messages.SUCCESS if verdict.accepted else messages.ERROR
                messages.add_message(request, level, _in_words(verdict))
            return redirect("face_photos")
        return _as_json(request, student, verdicts)
    context = {"form": PhotosForm(), "most": MAX_PHOTOS, **_pictures_of(student)}
    return render(request, "recognition/photos.html", context)


def _verdicts(request: HttpRequest, student: Student, form: PhotosForm) -> list[PhotoVerdict]:
    if not form.is_valid():
        return [PhotoVerdict(False, "no_picture", str(error)) for error in form.errors["photos"]]
    verdicts: list[PhotoVerdict] = []
    for file in form.cleaned_data["photos"]:
        if not within_limit(request, "face_photo"):
            refusal = _("That were many pictures in a short time. Try again in ten minutes.")
            return [*verdicts, PhotoVerdict(False, "too_many", refusal)]
        verdicts.append(_verdict_on_file(student, file.read(), cast(User, request.user)))
    return verdicts


def _verdict_on_file(student: Student, content: bytes, user: User) -> PhotoVerdict:
    try:
        return add_photo(student=student, content=content, added_by=user)
    except REFUSALS as error:
        return PhotoVerdict(False, "refused", str(error))


def _in_words(verdict: PhotoVerdict) -> str:
    return _("This picture is good.") if verdict.accepted else verdict.message


def _as_json(request: HttpRequest, student: Student, verdicts: list[PhotoVerdict]) -> HttpResponse:
    pictures = render_to_string("recognition/_pictures.html", _pictures_of(student), request)
    return JsonResponse(
        {
            "verdicts": [
                {"accepted": verdict.accepted, "message": _in_words(verdict)}
                for verdict in verdicts
            ],
            "pictures": pictures,
        }
    )


def _pictures_of(student: Student) -> dict[str, object]:
    registration = open_registration(student)
    pictures = (
        list(registration.photos.defer("sealed_picture", "sealed_vector")) if registration else []
    )
    return {"pictures": pictures, "enough": len(pictures) >= MAX_PHOTOS}


@require_GET
@never_cache
@login_required
def photo(request: HttpRequest, pk: int) -> HttpResponse:
    """One picture, for the student and for who decides about it."""
    found = get_object_or_404(
        RegistrationPhoto.objects.select_related("registration__student"), pk=pk
    )
    if not may_see_photo(cast(User, request.user), found):
        raise Http404
    response = HttpResponse(found.picture(), content_type="image/jpeg")
    response.headers["Cache-Control"] = "no-store, private"
    return response


@require_POST
@for_students
def remove(request: HttpRequest, student: Student, pk: int) -> HttpResponse:
    own = RegistrationPhoto.objects.filter(registration__student=student)
    try:
        remove_photo(get_object_or_404(own.select_related("registration"), pk=pk))
    except RegistrationRefusedError as error:
        messages.error(request, str(error))
    return redirect("face_photos")


@require_POST
@for_students
def submit(request: HttpRequest, student: Student) -> HttpResponse:
    return _done_with_registration(
        request, student, submit_registration, _("Your pictures were sent to your lecturer.")
    )


@require_POST
@for_students
def cancel(request: HttpRequest, student: Student) -> HttpResponse:
    return _done_with_registration(
        request, student, cancel_registration, _("Cancelled. The pictures are deleted.")
    )


def _done_with_registration(
    request: HttpRequest,
    student: Student,
    service: Callable[[FaceRegistration], None],
    success: str,
) -> HttpResponse:
    registration = open_registration(student)
    if registration is None:
        messages.error(request, _("There is no registration that could be changed."))
        return redirect("face")
    try:
        service(registration)
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        messages.success(request, success)
    return redirect("face")


@require_http_methods(["GET", "HEAD", "POST"])
@for_students
def withdraw(request: HttpRequest, student: Student) -> HttpResponse:
    """Take the consent back; the answer is the receipt."""
    standing = where_face_stands(student, model_id=active_model_id())
    if request.method != "POST":
        return render(request, "recognition/withdraw.html", {"standing": standing})
    erasure = withdraw_consent(student=student)
    return render(request, "recognition/withdrawn.html", {"erasure": erasure, "student": student})
