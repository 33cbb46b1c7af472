"""Making one record of two that stand for the same person."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from checkin.appeals.models import Appeal, KeptProbe
from checkin.models import Attendance, CheckinAttempt
from checkin.passes.models import EntryPass
from checkin.passes.services import revoke_passes
from checkin.people.kinds import content_types_of, references_to_student
from recognition.cohort.models import PhotoImportItem
from recognition.mistakes import hand_over_mistakes
from recognition.models import Consent, FaceRegistration, FaceTemplate, Resemblance
from recognition.registration import cancel_registration
from recognition.sealing import TemplateUnreadableError, seal_picture, seal_vector
from recognition.selectors import open_registration
from recognition.services import revoke_template, sealed, withdraw_consent
from roster.events import student_merged
from roster.models import PeriodLock, Student

logger = logging.getLogger(__name__)


class MergeRefusedError(Exception):
    """The records stay two; the text is for the person who asked for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a merge will do where both records have something to say.

    ``face_of`` is the record whose consent and template hold afterwards; nobody's, where the
    person refused under either number later.
    """

    shared_courses: int
    shared_sessions: int
    face_of: Student | None
    drops_template: bool
    drops_registration: bool


def plan_merge(*, keep: Student, other: Student) -> Plan:
    """What will happen, without doing it.

    Raises:
        MergeRefusedError: the records cannot be merged, and what to do about it.
    """
    if keep.pk == other.pk:
        raise MergeRefusedError(_("Choose two different students."))
    if keep.user_id and other.user_id:
        raise MergeRefusedError(
            _(
                "Both are linked to an account of their own. Ask the person which login they use, "
                "remove the other account from its student, then merge."
            )
        )
    _check_not_settled(other)
    speaker = _whose_word_holds(keep, other)
    return Plan(
        shared_courses=keep.courses.filter(enrolments__student=other).count(),
        shared_sessions=_in_shared_sessions(other, keep).count(),
        face_of=speaker,
        drops_template=any(
            _in_force(student).exists() for student in (keep, other) if student != speaker
        ),
        drops_registration=open_registration(keep) is not None
        and open_registration(other) is not None,
    )


@transaction.atomic
def merge_students(*, keep: Student, other: Student) -> None:
    """Give everything of the other record to the one that stays; nothing of the other remains.

    Raises:
        MergeRefusedError: the records cannot be merged, and what to do about it.
    """
    # In the order of their keys, so that two merges do not wait for each other.
    both = Student.objects.select_for_update().order_by("pk").filter(pk__in=[keep.pk, other.pk])
    locked = {student.pk: student for student in both}
    if len(locked) < 2 and keep.pk != other.pk:
        raise MergeRefusedError(_("One of the two records is gone. Look at the list again."))
    keep, other = locked[keep.pk], locked[other.pk]
    plan = plan_merge(keep=keep, other=other)

    _join_course_lists(keep, other)
    _join_attendance(keep, other)
    _join_appeals(keep, other)
    _join_registrations(keep, other)
    _reseal_imported_pictures(keep, other)
    _join_faces(keep, other, plan.face_of)
    _join_resemblances(keep, other)
    _join_passes(keep, other)
    _rename_history(keep, other)
    for model, field in references_to_student():
        model._base_manager.filter(**{field: other.pk}).update(**{field: keep.pk})
    other_pk = other.pk
    _hand_over_roster_entry(keep, other)
    student_merged(keep=keep, other_pk=other_pk, at=timezone.now())
    if plan.face_of is None and keep.consents.exists():
        # The person's last word is no, under one number or the other.
        withdraw_consent(student=keep)
    logger.info("student %s was merged into student %s", other_pk, keep.pk)


def _check_not_settled(other: Student) -> None:
    """What was paid or reported under a number stays under it."""
    if PeriodLock.objects.filter(unlocked_at=None).exists():
        for row in other.attendance.select_related("session__course"):
            if (lock := row.session.period_lock()) is not None:
                raise MergeRefusedError(
                    _(
                        "%(student)s has records in the locked days from %(first)s to %(last)s. "
                        "Keep that record and merge the other into it, or unlock the days first."
                    )
                    % {"student": other, "first": lock.first_day, "last": lock.last_day}
                )


# Course lists and attendance


def _join_course_lists(keep: Student, other: Student) -> None:
    """In a shared course: from the first joining to the last leaving."""
    own = {enrolment.course_id: enrolment for enrolment in keep.enrolments.all()}
    for double in other.enrolments.filter(course__in=own):
        enrolment = own[double.course_id]
        enrolment.joined_on = min(enrolment.joined_on, double.joined_on)
        left = (enrolment.left_on, double.left_on)
        enrolment.left_on = None if None in left else max(day for day in left if day)
        double.delete()
        enrolment.save(update_fields=["joined_on", "left_on"])


def _in_shared_sessions(one: Student, another: Student) -> QuerySet[Attendance]:
    return one.attendance.filter(session__in=another.attendance.values("session"))


def _join_attendance(keep: Student, other: Student) -> None:
    """In a shared session the earlier arrival stays; having come at all beats the rest."""
    own = {row.session_id: row for row in keep.attendance.all()}
    for row in list(_in_shared_sessions(other, keep)):
        worse = max(own[row.session_id], row, key=_how_late)
        worse.delete()


def _join_appeals(keep: Student, other: Student) -> None:
    """Of two open appeals on one session that of the record that stays; probes are not moved.

    They are sealed to their owner and gone in days: without one a "not me" makes no pair.
    """
    KeptProbe.objects.filter(attempt__student=other).delete()
    own = {appeal.session_id: appeal for appeal in keep.appeals.filter(status=Appeal.Status.OPEN)}
    for double in other.appeals.filter(status=Appeal.Status.OPEN, session__in=own):
        double.disownings.update(appeal=own[double.session_id])
        double.status, double.decided_at = Appeal.Status.WITHDRAWN, timezone.now()
        double.save(update_fields=["status", "decided_at"])


def _how_late(row: Attendance) -> tuple[bool, float, bool]:
    arrived_s = row.arrived_at.timestamp() if row.arrived_at else 0.0
    return (row.arrived_at is None, arrived_s, row.status == Attendance.Status.ABSENT)


# Consent, registrations, templates


def _whose_word_holds(keep: Student, other: Student) -> Student | None:
    """The record whose consent holds for the person; none where a later word was a refusal.

    The one with more of a face behind its consent: a template, pictures, nothing. The record
    that stays wins a tie.
    """
    speaker = max(keep, other, key=_weight_of_consent)
    consent = _consent_in_force(speaker)
    if consent is None:
        return None
    refused_at = _refused_at(other if speaker == keep else keep)
    given_at = consent.given_at
    return None if refused_at and given_at and refused_at > given_at else speaker


def _weight_of_consent(student: Student) -> int:
    if _consent_in_force(student) is None:
        return 0
    if _in_force(student).exists():
        return 3
    return 2 if open_registration(student) else 1


def _consent_in_force(student: Student) -> Consent | None:
    return student.consents.filter(withdrawn_at=None).first()


def _refused_at(student: Student) -> datetime | None:
    """When the student declined or withdrew, if that was the last word under this number."""
    if _consent_in_force(student) is not None:
        return None
    newest = student.consents.order_by("-withdrawn_at").first()
    return newest.withdrawn_at if newest else None


def _in_force(student: Student) -> QuerySet[FaceTemplate]:
    return student.face_templates.filter(revoked_at=None)


def _join_registrations(keep: Student, other: Student) -> None:
    """The open one of the record that stays stays; otherwise the other's pictures move."""
    moving = open_registration(other)
    if moving is None:
        return
    if open_registration(keep) is not None:
        cancel_registration(moving)
        return
    _reseal_pictures(moving, keep)


def _reseal_pictures(registration: FaceRegistration, owner: Student) -> None:
    for photo in registration.photos.select_related("registration"):
        try:
            picture = photo.picture()
            vector = photo.vector() if photo.sealed_vector else None
        except TemplateUnreadableError as error:
            raise _unreadable(registration.student) from error
        photo.sealed_picture = seal_picture(picture, student_pk=owner.pk)
        if vector is not None:
            photo.sealed_vector = seal_vector(vector, student_pk=owner.pk, model_id=photo.model_id)
        photo.save(update_fields=["sealed_picture", "sealed_vector"])


def _reseal_imported_pictures(keep: Student, other: Student) -> None:
    """Those that wait to be looked at; they stay with the item, so both records may have some."""
    for item in PhotoImportItem.objects.filter(student=other).exclude(sealed_picture=b""):
        try:
            picture = item.picture()
        except TemplateUnreadableError as error:
            raise _unreadable(other) from error
        item.sealed_picture = seal_picture(picture, student_pk=keep.pk)
        item.save(update_fields=["sealed_picture"])


def _join_faces(keep: Student, other: Student, face_of: Student | None) -> None:
    """One consent in force at most, and the templates of the record that gave it."""
    for silent in (keep, other):
        if silent == face_of:
            continue
        if face_of is not None:
            silent.consents.filter(withdrawn_at=None).update(withdrawn_at=timezone.now())
        for template in _in_force(silent):
            revoke_template(template)
    if face_of == other:
        for template in _in_force(other):
            _reseal_template(template, keep)


def _reseal_template(template: FaceTemplate, owner: Student) -> None:
    """The owner is sealed in and rows are never rewritten, so another row takes its place."""
    try:
        parts = template.parts()
    except TemplateUnreadableError as error:
        raise _unreadable(template.student) from error
    adopted = FaceTemplate.objects.create(
        student=owner,
        model_id=template.model_id,
        **sealed(parts, student_pk=owner.pk, model_id=template.model_id),
        origin=template.origin,
        similarity=template.similarity,
        photo_count=template.photo_count,
        agreement=template.agreement,
        created_at=template.created_at,
        created_by=template.created_by,
    )
    try:
        hand_over_mistakes(template=template, adopted=adopted)
    except TemplateUnreadableError as error:
        raise _unreadable(template.student) from error
    CheckinAttempt.objects.filter(template=template).update(template=adopted)
    template.delete()


def _unreadable(student: Student) -> MergeRefusedError:
    return MergeRefusedError(
        _(
            "What is stored of the face of %(student)s cannot be decrypted. Bring the key back to "
            "TEMPLATE_KEYS, or revoke the template and reject the pictures, then merge."
        )
        % {"student": student}
    )


def _join_resemblances(keep: Student, other: Student) -> None:
    """Nobody resembles themselves, and each third person is noted once."""
    Resemblance.objects.filter(Q(student=keep, other=other) | Q(student=other, other=keep)).delete()
    Resemblance.objects.filter(
        student=other, other__in=Resemblance.objects.filter(student=keep).values("other")
    ).delete()
    Resemblance.objects.filter(
        other=other, student__in=Resemblance.objects.filter(other=keep).values("student")
    ).delete()


def _join_passes(keep: Student, other: Student) -> None:
    """One mailed pass in force at most: that of the record that stays."""
    if EntryPass.objects.filter(student=keep, used_at=None, revoked_at=None).exists():
        revoke_passes(other)


# The record itself


def _rename_history(keep: Student, other: Student) -> None:
    """What the desk noted of the other record is the history of this one from now on."""
    types = content_types_of(Student)
    LogEntry.objects.filter(content_type__in=types, object_id=str(other.pk)).update(
        object_id=str(keep.pk)
    )
    for entry in LogEntry.objects.filter(object_repr__contains=str(other)):
        entry.object_repr = entry.object_repr.replace(str(other), str(keep))[:200]
        entry.save(update_fields=["object_repr"])


def _hand_over_roster_entry(keep: Student, other: Student) -> None:
    account, email = other.user, other.email
    _delete_empty(other)
    changed: dict[str, Any] = {}
    if account is not None:
        changed["user"] = account
    if email and not keep.email:
        changed["email"] = email
    for field, value in changed.items():
        setattr(keep, field, value)
    keep.save(update_fields=list(changed))


def _delete_empty(other: Student) -> None:
    """Deleting takes along what still points at the record: nothing may."""
    for model, field in references_to_student():
        if model._base_manager.filter(**{field: other.pk}).exists():
            raise RuntimeError(f"{model._meta.label}.{field} still points at student {other.pk}")
    other.delete()
