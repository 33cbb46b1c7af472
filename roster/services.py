"""What changes the roster besides its forms. Each function is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from roster.events import (
    enrolments_ended,
    enrolments_started,
    students_changed,
    students_created,
)
from roster.models import CourseEnrolment, RosterClaim, Student

logger = logging.getLogger(__name__)


class ClaimRefusedError(Exception):
    """A claim that cannot be made or decided; the text is for the person."""


@transaction.atomic
def claim_student(*, user: User, student_id: str) -> RosterClaim | None:
    """Link an account to the student of that number, or ask a lecturer to.

    The link is made at once, and None returned, where the roster has an address of this account
    that was confirmed. Otherwise the claim waits for a decision.

    Raises:
        ClaimRefusedError: the number is unknown or taken, or the account has a student already.
    """
    student = Student.objects.select_for_update().filter(student_id=student_id).first()
    if student is None:
        raise ClaimRefusedError(
            _(
                "No student has the number “%(number)s”. Check it on your student card; if it is "
                "right, ask your lecturer to add you to the roster."
            )
            % {"number": student_id}
        )
    _check_free(user, student)
    if _has_confirmed(user, student.email):
        _link(user, student)
        return None
    claim, _created = RosterClaim.objects.update_or_create(
        user=user,
        status=RosterClaim.Status.WAITING,
        defaults={"student": student, "made_at": timezone.now()},
    )
    return claim


@transaction.atomic
def approve_claim(*, claim: RosterClaim, decided_by: User) -> None:
    """Link the account; other claims to the same student are rejected with it.

    Raises:
        ClaimRefusedError: it is decided already, or account or student are linked elsewhere.
    """
    student = Student.objects.select_for_update().get(pk=claim.student_id)
    _check_free(claim.user, student)
    _decide(claim, RosterClaim.Status.APPROVED, decided_by)
    _link(claim.user, student)
    for rival in student.claims.filter(status=RosterClaim.Status.WAITING):
        reject_claim(claim=rival, decided_by=decided_by)
    _tell(claim, gettext_lazy("Your account is linked to the roster"), "claim_approved")


@transaction.atomic
def reject_claim(*, claim: RosterClaim, decided_by: User) -> None:
    """Refuse the link.

    Raises:
        ClaimRefusedError: it is decided already.
    """
    _decide(claim, RosterClaim.Status.REJECTED, decided_by)
    _tell(claim, gettext_lazy("Your account was not linked to the roster"), "claim_rejected")


def _check_free(user: User, student: Student) -> None:
    own = Student.objects.filter(user=user).first()
    if own is not None:
        raise ClaimRefusedError(
            _("This account is linked to the student number %(number)s already.")
            % {"number": own.student_id}
        )
    if student.user_id is not None:
        raise ClaimRefusedError(
            _(
                "The student number %(number)s belongs to another account. If it is yours, log in "
                "with that account or tell your lecturer."
            )
            % {"number": student.student_id}
        )


def _has_confirmed(user: User, address: str) -> bool:
    """An address that somebody only typed proves nothing."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True)
    return bool(address) and confirmed.filter(email__iexact=address).exists()


def _link(user: User, student: Student) -> None:
    student.user = user
    student.save(update_fields=["user"])
    user.roster_claims.filter(status=RosterClaim.Status.WAITING).delete()
    logger.info("student %s was linked to account %s", student.pk, user.pk)


def _decide(claim: RosterClaim, status: RosterClaim.Status, decided_by: User) -> None:
    """The condition lets one of two decisions at the same time win."""
    decided = RosterClaim.objects.filter(pk=claim.pk, status=RosterClaim.Status.WAITING).update(
        status=status, decided_by=decided_by, decided_at=timezone.now()
    )
    if not decided:
        raise ClaimRefusedError(_("This claim is decided already."))


def _tell(claim: RosterClaim, subject: Promise, template: str) -> None:
    with in_language_of(claim.user):
        send_notice(
            to=claim.user.email,
            subject=str(subject),
            template=template,
            context={"student": claim.student},
        )


# By the forms of the desk


@transaction.atomic
def save_student(student: Student, *, changed: Sequence[str]) -> None:
    """Store a student, new or with the fields of these names changed."""
    is_new, at = student._state.adding, timezone.now()
    student.save()
    if is_new:
        students_created([student], at)
    elif changed:
        students_changed([(student, list(changed))], at)


@transaction.atomic
def save_enrolment(enrolment: CourseEnrolment) -> None:
    """Store a place on a class list; whoever leaves or comes back is told of."""
    before = CourseEnrolment.objects.filter(pk=enrolment.pk).first()
    enrolment.save()
    _tell_of_place(before, enrolment)


@transaction.atomic
def delete_enrolment(enrolment: CourseEnrolment) -> None:
    """Take a place away as if it had never been."""
    was_listed = enrolment.left_on is None
    # Afterwards it has no key; the events need none.
    enrolment.delete()
    if was_listed:
        enrolments_ended([enrolment], timezone.now())


def _tell_of_place(before: CourseEnrolment | None, after: CourseEnrolment) -> None:
    at = timezone.now()
    moved = before is not None and _place_of(before) != _place_of(after)
    if before is not None and before.left_on is None and (moved or after.left_on is not None):
        enrolments_ended([before if moved else after], at)
    came = before is None or moved or before.left_on is not None
    if came and after.left_on is None:
        enrolments_started([after], at)


def _place_of(enrolment: CourseEnrolment) -> tuple[int, int]:
    return enrolment.course_id, enrolment.student_id
