"""Attendance from pictures of a class: found by the engine, decided by the lecturer.

Nothing of attendance is written before the confirmation, and nothing of the pictures is left
after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from checkin.class_photo.models import ClassPhoto, FoundFace
from checkin.events import ATTENDANCE_RECORDED, publish_rows
from checkin.live.events import announce_after_commit
from checkin.locks import locked
from checkin.marking import state_of
from checkin.models import Attendance, AttendanceChange
from checkin.sessions.services import locked_sentence
from recognition.engine.assignment import assign
from recognition.engine.gallery import Decision, Gallery
from recognition.engine.thresholds import CLASS_PHOTO_IDENTIFICATION
from recognition.engine.types import ClassPhotoAnalysis, Embedding
from recognition.models import FaceTemplate
from recognition.selectors import GalleryCache, templates_in_force
from recognition.workers import active_model_id, worker_pool
from roster.models import ClassSession, Student
from roster.selectors import courses_of, students_in

MOST_PHOTOS = 8
SIMILAR_SHOWN = 5

Status = Attendance.Status
Method = Attendance.Method


class ClassPhotoRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


# Questions


def may_take_attendance(user: User) -> bool:
    """Whether this user may do so in the sessions of their courses."""
    return user.has_perms(["roster.change_classsession", "checkin.change_attendance"])


def session_of(user: User, session_pk: int) -> ClassSession | None:
    """The session, if it belongs to a course of this user."""
    sessions = ClassSession.objects.select_related("course", "room")
    return sessions.filter(pk=session_pk, course__in=courses_of(user)).first()


def class_photos_before(moment: datetime) -> QuerySet[ClassPhoto]:
    """Pictures that were uploaded before and that nobody has confirmed or given up."""
    return ClassPhoto.objects.filter(uploaded_at__lt=moment)


def why_not_now(session: ClassSession, at: datetime) -> str:
    """Why no attendance can be taken from pictures at this moment; empty if it can.

    It can until the absences are written, also when the session's end has passed.
    """
    if session.period_lock() is not None:
        return locked_sentence(session)
    if at < session.opens_at:
        return _("The session opens at %(time)s. Take the picture when the class is there.") % {
            "time": session.clock(session.opens_at)
        }
    if session.closed_at is not None:
        return _(
            "The session was closed at %(time)s and its absences are written. Open it again to "
            "take attendance from a picture."
        ) % {"time": session.clock(session.closed_at)}
    return ""


@dataclass(frozen=True, slots=True)
class Line:
    """A student of the class list: what is recorded, and what the pictures say."""

    student: Student
    recorded: Attendance | None
    photo: int | None
    similarity: float | None
    recognisable: bool

    @property
    def is_present(self) -> bool:
        if self.recorded is not None:
            return self.recorded.status in (Status.PRESENT, Status.LATE)
        return self.photo is not None


@dataclass(frozen=True, slots=True)
class Picture:
    """A class photo with its faces; ``number`` counts the pictures from 1."""

    number: int
    photo: ClassPhoto
    faces: list[FoundFace]
    status: Status


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that waits for the lecturer's word."""

    pictures: list[Picture]
    lines: list[Line]

    @property
    def present(self) -> list[Line]:
        return [line for line in self.lines if line.is_present]

    @property
    def absent(self) -> list[Line]:
        return [line for line in self.lines if not line.is_present]

    @property
    def found(self) -> list[Line]:
        return [line for line in self.lines if line.photo is not None]

    @property
    def unknown_faces(self) -> int:
        return sum(face.student is None for picture in self.pictures for face in picture.faces)


def review_of(session: ClassSession) -> Review:
    """The pictures that wait, with the union of who is in them: the best match of each student."""
    recognisable = _recognisable_in(session)
    pictures = [
        Picture(number, photo, _still(photo.faces(), recognisable), _status_at(session, photo))
        for number, photo in enumerate(session.class_photos.defer("sealed_picture"), start=1)
    ]
    best: dict[int, tuple[float, int]] = {}
    for picture in pictures:
        for face in picture.faces:
            if face.student is not None:
                match = (face.similarity or 0.0, picture.number)
                best[face.student] = max(best.get(face.student, match), match)
    recorded = {row.student_id: row for row in session.attendance.all()}
    return Review(
        pictures,
        [
            Line(
                student=student,
                recorded=recorded.get(student.pk),
                photo=best[student.pk][1] if student.pk in best else None,
                similarity=best[student.pk][0] if student.pk in best else None,
                recognisable=student.pk in recognisable,
            )
            for student in students_in(session).order_by("name", "pk")
        ],
    )


def _still(faces: list[FoundFace], recognisable: set[int]) -> list[FoundFace]:
    """Without those whose consent or place in the class has ended since the picture came."""
    return [
        FoundFace(
            left=face.left,
            top=face.top,
            right=face.right,
            bottom=face.bottom,
            student=face.student if face.student in recognisable else None,
            doubtful=face.doubtful,
            similarity=face.similarity,
            similar=tuple(pk for pk in face.similar if pk in recognisable),
        )
        for face in faces
    ]


def _recognisable_in(session: ClassSession) -> set[int]:
    templates = templates_in_force(model_id=active_model_id())
    return set(
        templates.filter(student__in=students_in(session)).values_list("student_id", flat=True)
    )


def _status_at(session: ClassSession, photo: ClassPhoto) -> Status:
    return Status.LATE if photo.uploaded_at >= session.late_from else Status.PRESENT


# Verbs


def add_class_photo(session: ClassSession, content: bytes, at: datetime) -> ClassPhoto:
    """Find everybody in a picture and keep it, sealed, until the lecturer has decided.

    Raises:
        ClassPhotoRefusedError: it cannot be taken now, or is there already.
        EngineError: it is no picture that can be used; the text says why.
        WorkerLostError: it was lost on the way; the same call may succeed again.
    """
    digest = hashlib.sha256(content).hexdigest()
    _check_room_for(session, digest, at)
    found = worker_pool().analyse_class_photo(content).result()
    photo = ClassPhoto(
        session=session,
        uploaded_at=at,
        digest=digest,
        width=found.width,
        height=found.height,
        faces_left_out=found.faces_left_out,
    )
    photo.seal(picture_jpeg=found.picture_jpeg, faces=_found_faces(session, found))
    with transaction.atomic():
        _check_room_for(locked(session), digest, at)
        photo.save()
    return photo


@transaction.atomic
def confirm_class_photos(
    session: ClassSession,
    *,
    by: User,
    at: datetime,
    shown: Sequence[int],
    present: set[int],
    faces: Mapping[int, Sequence[int | None]],
) -> list[Attendance]:
    """Write who was there, and delete the pictures.

    Args:
        shown: the pictures that ``by`` has looked at.
        present: students, by primary key. Those who have a record already keep it.
        faces: by picture, whose its faces are. Who is in none of them is marked by hand.

    Raises:
        ClassPhotoRefusedError: the session is closed, or the pictures are not those any more.
    """
    session = locked(session)
    if refusal := why_not_now(session, at):
        raise ClassPhotoRefusedError(refusal)
    photos = list(session.class_photos.defer("sealed_picture", "sealed_faces"))
    if not photos or [photo.pk for photo in photos] != sorted(shown):
        raise ClassPhotoRefusedError(
            _("The pictures are not the same any more: somebody added, removed or confirmed one.")
        )
    _check_nobody_twice(faces)
    written = [
        row
        for student in students_in(session).filter(pk__in=present)
        if (row := _arrived(session, student, photos, faces)) is not None
    ]
    AttendanceChange.objects.bulk_create(
        AttendanceChange(
            session=session,
            student=row.student,
            at=at,
            by=by,
            before=None,
            after=state_of(row),
            reason=_("confirmed from a class photo"),
        )
        for row in written
    )
    publish_rows(ATTENDANCE_RECORDED, session=session, rows=written, at=at)
    session.class_photos.all().delete()
    announce_after_commit(session.pk)
    return written


@transaction.atomic
def discard_class_photos(session: ClassSession, *, only: int | None = None) -> int:
    """Delete the pictures that wait, or one of them; returns how many that were."""
    photos = locked(session).class_photos.all()
    deleted, _by_model = (photos if only is None else photos.filter(pk=only)).delete()
    return deleted


def _check_room_for(session: ClassSession, digest: str, at: datetime) -> None:
    if refusal := why_not_now(session, at):
        raise ClassPhotoRefusedError(refusal)
    if session.class_photos.filter(digest=digest).exists():
        raise ClassPhotoRefusedError(_("This picture is here already."))
    if session.class_photos.count() >= MOST_PHOTOS:
        raise ClassPhotoRefusedError(
            _("At most %(most)d pictures wait at a time. Confirm or remove some first.")
            % {"most": MOST_PHOTOS}
        )


def _found_faces(session: ClassSession, found: ClassPhotoAnalysis) -> list[FoundFace]:
    embeddings = [face.embedding for face in found.faces if face.embedding is not None]
    if not embeddings:
        return []
    gallery = GalleryCache().gallery_for(
        [session], model_id=active_model_id(), dimensions=len(embeddings[0])
    )
    owners = dict(FaceTemplate.objects.filter(pk__in=gallery.ids).values_list("pk", "student_id"))
    matches = assign(
        gallery,
        embeddings,
        threshold=CLASS_PHOTO_IDENTIFICATION.similarity_for(len(gallery)),
        margin=CLASS_PHOTO_IDENTIFICATION.margin,
    )
    return [
        FoundFace(
            left=face.box.left,
            top=face.box.top,
            right=face.box.right,
            bottom=face.box.bottom,
            student=None if match.template_id is None else owners[match.template_id],
            doubtful=match.decision is Decision.AMBIGUOUS,
            similarity=match.similarity,
            similar=tuple(owners[pk] for pk in _nearest(gallery, embedding)),
        )
        for face, embedding, match in zip(found.faces, embeddings, matches, strict=True)
    ]


def _nearest(gallery: Gallery, embedding: Embedding) -> list[int]:
    nearest = np.argsort(-(gallery.matrix @ embedding), kind="stable")[:SIMILAR_SHOWN]
    return [gallery.ids[row] for row in nearest.tolist()]


def _check_nobody_twice(faces: Mapping[int, Sequence[int | None]]) -> None:
    for of_photo in faces.values():
        named = [student for student in of_photo if student is not None]
        if len(named) != len(set(named)):
            raise ClassPhotoRefusedError(
                _("Somebody has two faces in one picture: take the name away from one of them.")
            )


def _arrived(
    session: ClassSession,
    student: Student,
    photos: Sequence[ClassPhoto],
    faces: Mapping[int, Sequence[int | None]],
) -> Attendance | None:
    """A new row from the first picture that shows the student; None if there is a row already."""
    showing = [photo for photo in photos if student.pk in faces.get(photo.pk, ())]
    first = (showing or list(photos))[0]
    row, created = Attendance.objects.get_or_create(
        session=session,
        student=student,
        defaults={
            "status": _status_at(session, first),
            "method": Method.PHOTO if showing else Method.MANUAL,
            "arrived_at": first.uploaded_at,
        },
    )
    return row if created else None
