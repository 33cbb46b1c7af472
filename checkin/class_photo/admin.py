"""The desk's pages for attendance from class photos.

Everything works by links and forms; the page's script only makes it quicker.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from checkin.class_photo.models import ClassPhoto
from checkin.class_photo.services import (
    ClassPhotoRefusedError,
    Line,
    Picture,
    Review,
    add_class_photo,
    confirm_class_photos,
    discard_class_photos,
    may_take_attendance,
    review_of,
    session_of,
    why_not_now,
)
from recognition.engine.class_photo import MAX_CLASS_PHOTO_BYTES, MAX_CLASS_PHOTO_PIXELS
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession, Student

MOST_AT_ONCE = 4
#: A name under a box is this share of the picture's width high: 14 px on a screen of 1000.
LABEL_SHARE = 0.014
CROP_GROWTH = 1.5

Refusals = (ClassPhotoRefusedError, EngineError, WorkerLostError)


@dataclass(frozen=True, slots=True)
class FaceShown:
    """A face as the page draws it. All lengths are pixels of the picture, as text for SVG."""

    field: str
    number: int
    left: int
    top: int
    width: int
    height: int
    label_y: int
    crop: str
    student: int | None
    name: str
    doubtful: bool
    similar: list[Student]
    others: list[Student]


@dataclass(frozen=True, slots=True)
class PictureShown:
    picture: Picture
    faces: list[FaceShown]
    label_px: int
    arrived: str


@admin.register(ClassPhoto)
class ClassPhotoAdmin(admin.ModelAdmin):
    """Has no lists: the pages belong to a session and are reached from there."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        def page(address: str, view: Any, name: str) -> URLPattern:
            guarded = self.admin_site.admin_view(never_cache(view))
            return path(f"session/<int:session_pk>/{address}", guarded, name=name)

        own = [
            page("", require_safe(self.review_view), "checkin_classphoto_review"),
            page("add/", require_POST(self.take_view), "checkin_classphoto_add_to"),
            page("confirm/", require_POST(self.confirm_view), "checkin_classphoto_confirm"),
            page("discard/", require_POST(self.discard_view), "checkin_classphoto_discard"),
            page(
                "pictures/<int:photo_pk>.jpg",
                require_safe(self.picture_view),
                "checkin_classphoto_picture",
            ),
        ]
        return own + super().get_urls()

    def review_view(self, request: HttpRequest, session_pk: int) -> HttpResponse:
        """The pictures with names on the faces, who is present and who is absent."""
        session = _session(request, session_pk)
        try:
            review = review_of(session)
        except TemplateUnreadableError as error:
            messages.error(request, str(error))
            review = Review([], [])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Class photo: %(session)s") % {"session": session},
            "session": session,
            "review": review,
            "pictures": [_shown(session, picture, review.lines) for picture in review.pictures],
            "why_not_now": why_not_now(session, timezone.now()),
            "most_at_once": MOST_AT_ONCE,
            "most_mb": MAX_CLASS_PHOTO_BYTES // 1_000_000,
            "most_megapixels": MAX_CLASS_PHOTO_PIXELS // 1_000_000,
        }
        return render(request, "admin/checkin/class_photo.html", context)

    def picture_view(self, request: HttpRequest, session_pk: int, photo_pk: int) -> HttpResponse:
        session = _session(request, session_pk)
        photo = get_object_or_404(session.class_photos, pk=photo_pk)
        try:
            return HttpResponse(photo.picture(), content_type="image/jpeg")
        except TemplateUnreadableError as error:
            raise Http404 from error

    def take_view(self, request: HttpRequest, session_pk: int) -> HttpResponseRedirect:
        session = _session(request, session_pk)
        files = request.FILES.getlist("pictures")
        if not 1 <= len(files) <= MOST_AT_ONCE:
            messages.error(
                request,
                _("Got %(got)d pictures, expected 1 to %(most)d. Choose them again.")
                % {"got": len(files), "most": MOST_AT_ONCE},
            )
            return _back(session)
        at = timezone.now()
        for file in files:
            _add(request, session, file, at)
        return _back(session)

    def confirm_view(self, request: HttpRequest, session_pk: int) -> HttpResponseRedirect:
        session = _session(request, session_pk)
        shown = _numbers(request.POST.getlist("shown"))
        try:
            written = confirm_class_photos(
                session,
                by=cast(User, request.user),
                at=timezone.now(),
                shown=shown,
                present=set(_numbers(request.POST.getlist("present"))),
                faces={photo_pk: _faces_sent(request, photo_pk) for photo_pk in shown},
            )
        except ClassPhotoRefusedError as refusal:
            messages.error(request, str(refusal))
            return _back(session)
        messages.success(request, _written_words(len(written)))
        return redirect("admin:checkin_attendance_live", session.pk)

    def discard_view(self, request: HttpRequest, session_pk: int) -> HttpResponseRedirect:
        session = _session(request, session_pk)
        only = request.POST.get("photo", "")
        deleted = discard_class_photos(session, only=int(only) if only.isdecimal() else None)
        text = ngettext(
            "%(count)d picture was deleted. Nothing was recorded.",
            "%(count)d pictures were deleted. Nothing was recorded.",
            deleted,
        )
        messages.success(request, text % {"count": deleted})
        return _back(session)


def _session(request: HttpRequest, session_pk: int) -> ClassSession:
    user = cast(User, request.user)
    session = session_of(user, session_pk)
    if session is None:
        raise Http404
    if not may_take_attendance(user):
        raise PermissionDenied
    return session


def _back(session: ClassSession) -> HttpResponseRedirect:
    return redirect("admin:checkin_classphoto_review", session.pk)


def _add(request: HttpRequest, session: ClassSession, file: UploadedFile, at: Any) -> None:
    """Take one picture; what is wrong with it is said beside its name, and the others go on."""
    if file.size is not None and file.size > MAX_CLASS_PHOTO_BYTES:
        refusal = _("it has %(got).0f MB, at most %(most).0f MB are accepted.") % {
            "got": file.size / 1e6,
            "most": MAX_CLASS_PHOTO_BYTES / 1e6,
        }
        messages.error(request, f"{file.name}: {refusal}")
        return
    try:
        photo = add_class_photo(session, file.read(), at)
    except Refusals as error:
        messages.error(request, f"{file.name}: {error}")
        return
    if not photo.faces():
        messages.warning(request, _("%(file)s: no face was found in it.") % {"file": file.name})


def _faces_sent(request: HttpRequest, photo_pk: int) -> list[int | None]:
    prefix = f"face-{photo_pk}-"
    sent = [str(value) for name, value in request.POST.items() if name.startswith(prefix)]
    return [int(value) if value.isdecimal() else None for value in sent]


def _numbers(values: list[str]) -> list[int]:
    return [int(value) for value in values if value.isdecimal()]


def _written_words(count: int) -> str:
    if not count:
        return _("Nobody was added: whoever is present was recorded before. The pictures are gone.")
    text = ngettext(
        "%(count)d student was recorded. The pictures are gone.",
        "%(count)d students were recorded. The pictures are gone.",
        count,
    )
    return text % {"count": count}


# What is drawn


def _shown(session: ClassSession, picture: Picture, lines: list[Line]) -> PictureShown:
    students = {line.student.pk: line.student for line in lines}
    given_names = Counter(_given_name(student) for student in students.values())
    faces = [
        FaceShown(
            field=f"face-{picture.photo.pk}-{number}",
            number=number,
            left=face.left,
            top=face.top,
            width=face.right - face.left,
            height=face.bottom - face.top,
            label_y=_label_y(face.bottom, picture),
            crop=_crop(face.left, face.top, face.right, face.bottom),
            student=face.student,
            name=_label(students.get(face.student or 0), given_names),
            doubtful=face.doubtful,
            similar=[students[pk] for pk in face.similar if pk in students],
            others=[student for pk, student in students.items() if pk not in face.similar],
        )
        for number, face in enumerate(picture.faces, start=1)
    ]
    arrived = session.clock(picture.photo.uploaded_at)
    return PictureShown(picture, faces, _label_px(picture), arrived)


def _label_px(picture: Picture) -> int:
    return max(10, math.ceil(LABEL_SHARE * picture.photo.width))


def _label_y(bottom: int, picture: Picture) -> int:
    """Under the face, or at the picture's edge."""
    return min(bottom + round(1.2 * _label_px(picture)), picture.photo.height - 4)


def _crop(left: int, top: int, right: int, bottom: int) -> str:
    """The view box of a face and what is around it."""
    side = round(CROP_GROWTH * max(right - left, bottom - top))
    return f"{(left + right - side) // 2} {(top + bottom - side) // 2} {side} {side}"


def _given_name(student: Student) -> str:
    return student.name.split()[0] if student.name.split() else student.student_id


def _label(student: Student | None, given_names: Counter[str]) -> str:
    """The given name; with the last name's initial where several have it."""
    if student is None:
        return ""
    given = _given_name(student)
    parts = student.name.split()
    if given_names[given] < 2 or len(parts) < 2:
        return given
    return f"{given} {parts[-1][0]}."
