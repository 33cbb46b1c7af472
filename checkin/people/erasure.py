"""Erasing everything that is kept of a student."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.language import language_of
from accounts.mail import send_notice
from accounts.models import User
from checkin.people.kinds import KINDS, Kept, Person, kept_of, references_to_student
from roster.events import student_erased
from roster.models import CourseEnrolment, Student

logger = logging.getLogger(__name__)


class Account(Enum):
    """What becomes of the student's login."""

    UNLINK = "unlink"
    DELETE = "delete"


class ErasureRefusedError(Exception):
    """Nothing was erased; the text is for the person who asked for it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased, and how many rows a search afterwards still found."""

    student_id: str
    name: str
    address: str
    erased: tuple[Kept, ...]
    remaining: int
    account: Account | None


def student_called(*, student_id: str, name: str) -> Student:
    """The student whom both number and name tell.

    Raises:
        ErasureRefusedError: there is none of this number, or the name is another.
    """
    student = Student.objects.filter(student_id=student_id.strip()).first()
    if student is None:
        raise ErasureRefusedError(
            _("No student has the number “%(number)s”. Nothing was erased.")
            % {"number": student_id}
        )
    if _folded(student.name) != _folded(name):
        raise ErasureRefusedError(
            _(
                "The student with the number “%(number)s” is not called “%(name)s”. Check both. "
                "Nothing was erased."
            )
            % {"number": student_id, "name": name}
        )
    return student


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def may_lose_account(account: User) -> bool:
    """Whoever works here keeps their login: it is more than a student's."""
    return not (account.is_staff or account.is_superuser or account.courses.exists())


def goes_with(student: Student, account: Account) -> list[Kept]:
    """What an erasure takes, kind by kind, without the kinds that have no row."""
    return [
        kept
        for kept in kept_of(Person.of(student))
        if kept.count and (account is Account.DELETE or not kept.kind.to_account)
    ]


@transaction.atomic
def erase_student(*, student: Student, account: Account) -> Receipt:
    """Erase the student with everything kept of them, look whether anything remains, mail both.

    Raises:
        ErasureRefusedError: the account is to go, but it is more than a student's.
    """
    # Whoever adds a row of this student waits, and then finds that there is none.
    student = Student.objects.select_for_update().get(pk=student.pk)
    if account is Account.DELETE and student.user and not may_lose_account(student.user):
        raise ErasureRefusedError(
            _("The account belongs to a member of staff and is not deleted this way. Unlink it.")
        )
    person, language = Person.of(student), language_of(student.user)
    erased = goes_with(student, account)
    courses = list(CourseEnrolment.objects.filter(student=student).values_list("course", flat=True))
    for kind in reversed(KINDS):
        if account is Account.DELETE or not kind.to_account:
            kind.rows(person).delete()
    receipt = Receipt(
        student_id=person.student_id,
        name=person.name,
        address=person.address,
        erased=tuple(erased),
        remaining=traces_of(person, account),
        account=account if person.user_pk else None,
    )
    student_erased(student_pk=person.pk, courses=courses, at=timezone.now())
    with translation.override(language):
        _mail(receipt)
    logger.info("student %s was erased, %s rows remain", person.pk, receipt.remaining)
    return receipt


def traces_of(person: Person, account: Account) -> int:
    """How many rows a search through every kind and every model finds."""
    of_kinds = sum(
        kind.rows(person).count()
        for kind in KINDS
        if account is Account.DELETE or not kind.to_account
    )
    pointing = sum(
        model._base_manager.filter(**{field: person.pk}).count()
        for model, field in references_to_student()
    )
    return of_kinds + pointing


def _mail(receipt: Receipt) -> None:
    send_notice(
        to=receipt.address,
        subject=_("Everything about you was erased"),
        template="student_erased",
        context={"receipt": receipt, "mail_days": settings.MAIL_RETENTION_DAYS},
    )
