"""Passes: made, shown, accepted once.

Two kinds stand behind the same square. A *one-time* pass is mailed as a picture: random, stored
as a hash, replaced after its use. A *rotating* one is computed on the student's own page every
30 s: signed, bound to student and session, stored nowhere until it is used. Both are short
upper-case texts, which a QR code holds in its compact alphanumeric mode.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn

import segno
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.language import in_language_of
from accounts.mail import Attachment, notice, send_together
from accounts.models import User
from checkin.models import Kiosk
from checkin.passes.models import EntryPass, PassUse
from checkin.passes.selectors import in_zone_of, is_in_class
from checkin.passes.selectors import takes_pass as takes_pass  # kiosks ask the same
from roster.models import ClassSession, Student
from roster.selectors import address_of

ONE_TIME_PREFIX = "ROLLCALL1:"
ROTATING_PREFIX = "ROLLCALL2:"
CODE_BYTES = 20  # 160 random bits
STEP_S = 30
#: The step that is shown, and the one before: between drawing a code and holding it before the
#: camera seconds pass. Both ends read the server's clock, the phone's plays no part, so nothing
#: more has to be forgiven.
ACCEPTED_STEPS = 2
#: A used pass is replaced at once. Later the session clock looks for those that were not.
REPLACED_AFTER, REPLACED_WITHIN = timedelta(minutes=1), timedelta(days=1)
# Student, session and step, then the signature: 30 bytes are 48 letters without padding.
_SIGNED = struct.Struct(">6s6sI")
_SIGNATURE_BYTES = 14  # 112 bits
_SALT = "checkin.passes.rotating"
# One spelling of each code only, or one pass could be two.
_ONE_TIME = re.compile(ONE_TIME_PREFIX + "[A-Z2-7]{32}")
_ROTATING = re.compile(ROTATING_PREFIX + "[A-Z2-7]{48}")


class PassRefusal(StrEnum):
    """Why a pass did not open. The codes are stable."""

    FOREIGN = "foreign"
    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    OTHER_STUDENT = "other_student"
    OTHER_SESSION = "other_session"
    NOT_IN_CLASS = "not_in_class"
    NOT_ENOUGH = "not_enough"


#: Of at most eight words, for a screen that is read from two metres.
REFUSAL_TEXTS: dict[PassRefusal, str | Promise] = {
    PassRefusal.FOREIGN: gettext_lazy("This is no Rollcall pass"),
    PassRefusal.UNKNOWN: gettext_lazy("This pass is not known here"),
    PassRefusal.USED: gettext_lazy("This pass was used already"),
    PassRefusal.EXPIRED: gettext_lazy("This pass is too old"),
    PassRefusal.REVOKED: gettext_lazy("This pass was revoked or replaced"),
    PassRefusal.OTHER_STUDENT: gettext_lazy("This is another person's pass"),
    PassRefusal.OTHER_SESSION: gettext_lazy("This pass is for another class"),
    PassRefusal.NOT_IN_CLASS: gettext_lazy("You are not in this class"),
    PassRefusal.NOT_ENOUGH: gettext_lazy("A pass alone will not do here"),
}


class PassRefusedError(Exception):
    """The pass does not open; the text is for the person who shows it."""

    def __init__(self, refusal: PassRefusal) -> None:
        super().__init__(str(REFUSAL_TEXTS[refusal]))
        self.refusal = refusal


class NoAddressError(Exception):
    """A pass cannot be mailed to somebody of whom no address is known."""

    def __init__(self, student: Student) -> None:
        super().__init__(
            _(
                "%(student)s has no e-mail address, so no pass can be mailed. Write the address "
                "into the roster, or ask the student to link an account."
            )
            % {"student": student}
        )
        self.student = student


@dataclass(frozen=True, slots=True)
class ShownPass:
    """A pass that was accepted, whose it is, and which of the sessions they may enter."""

    student: Student
    kind: PassUse.Kind
    sessions: list[ClassSession]


# Accepting


def redeem(
    *,
    payload: str,
    sessions: Sequence[ClassSession],
    kiosk: Kiosk | None,
    at: datetime,
    student: Student | None = None,
) -> ShownPass:
    """Accept a pass once and for ever, for those of these sessions that its owner may enter.

    With ``student`` only that student's pass will do, and it is the second proof besides the
    face. Without, it is the only one: sessions that want a face too are left out. Belongs into
    the caller's transaction, with which the pass is free again if it is rolled back.

    Raises:
        PassRefusedError: it does not open, and why. Nothing was written.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a pass is redeemed within the transaction that records the entry")
    shown = _read(payload, student, at)
    enterable = _enterable(shown, sessions, alone=student is None)
    session = enterable[0] if len(enterable) == 1 else None
    _accept(shown, session=session, kiosk=kiosk, at=at)
    return ShownPass(student=shown.student, kind=shown.kind, sessions=enterable)


@transaction.atomic
def check(*, payload: str, student: Student, at: datetime) -> None:
    """Accept a pass of this student once and for ever, without a session.

    Raises:
        PassRefusedError: it does not open, and why. Nothing was written.
    """
    _accept(_read(payload, student, at), session=None, kiosk=None, at=at)


@transaction.atomic
def owner_of(payload: str, at: datetime) -> Student | None:
    """Whose pass this is, without using it; None where it does not open."""
    try:
        return _read(payload, None, at).student
    except PassRefusedError:
        return None


@dataclass(frozen=True, slots=True)
class _Read:
    """A payload that is genuine and in time, and was not seen before as far as one can read."""

    code_hash: str
    student: Student
    entry_pass: EntryPass | None = None
    session_pk: int | None = None

    @property
    def kind(self) -> PassUse.Kind:
        return PassUse.Kind.ONE_TIME if self.entry_pass else PassUse.Kind.ROTATING


def _refuse(refusal: PassRefusal) -> NoReturn:
    raise PassRefusedError(refusal)


def _read(payload: str, student: Student | None, at: datetime) -> _Read:
    if payload.startswith(ONE_TIME_PREFIX):
        return _one_time(payload, student, at)
    if payload.startswith(ROTATING_PREFIX):
        return _rotating(payload, student, at)
    _refuse(PassRefusal.FOREIGN)


def _one_time(payload: str, student: Student | None, at: datetime) -> _Read:
    if not _ONE_TIME.fullmatch(payload):
        _refuse(PassRefusal.UNKNOWN)
    code_hash = _hash(payload)
    owner_pk = EntryPass.objects.filter(code_hash=code_hash).values_list("student_id", flat=True)
    owner = _locked(owner_pk.first())
    # After the lock: whoever used or revoked it meanwhile has committed.
    entry_pass = EntryPass.objects.filter(code_hash=code_hash, student=owner).first()
    if owner is None or entry_pass is None:
        _refuse(PassRefusal.UNKNOWN)
    if student is not None and owner != student:
        _refuse(PassRefusal.OTHER_STUDENT)
    state = entry_pass.state(at)
    if state != EntryPass.State.IN_FORCE:
        _refuse(PassRefusal(state))
    return _Read(code_hash, owner, entry_pass=entry_pass)


def _locked(student_pk: int | None) -> Student | None:
    """Always the student before their passes, so that nobody waits in a circle.

    Without the key: rows that point at the student may be written meanwhile.
    """
    if student_pk is None:
        return None
    return Student.objects.select_for_update(no_key=True).filter(pk=student_pk).first()


def _rotating(payload: str, student: Student | None, at: datetime) -> _Read:
    student_pk, session_pk, step = _opened(payload)
    age = _step(at) - step
    if age < 0:
        _refuse(PassRefusal.UNKNOWN)
    if age >= ACCEPTED_STEPS:
        _refuse(PassRefusal.EXPIRED)
    owner = Student.objects.filter(pk=student_pk).first()
    if owner is None:
        _refuse(PassRefusal.UNKNOWN)
    if student is not None and owner != student:
        _refuse(PassRefusal.OTHER_STUDENT)
    return _Read(_hash(payload), owner, session_pk=session_pk)


def _enterable(
    shown: _Read, sessions: Sequence[ClassSession], *, alone: bool
) -> list[ClassSession]:
    meant = [one for one in sessions if shown.session_pk in (None, one.pk)]
    if not meant:
        _refuse(PassRefusal.OTHER_SESSION)
    listed = [one for one in meant if is_in_class(shown.student, one)]
    if not listed:
        _refuse(PassRefusal.NOT_IN_CLASS)
    enough = [one for one in listed if takes_pass(one, alone=alone)]
    if not enough:
        _refuse(PassRefusal.NOT_ENOUGH)
    return enough


def _accept(
    shown: _Read, *, session: ClassSession | None, kiosk: Kiosk | None, at: datetime
) -> None:
    try:
        # A savepoint: the caller's transaction goes on after a refusal.
        with transaction.atomic():
            PassUse.objects.create(
                code_hash=shown.code_hash,
                student=shown.student,
                entry_pass=shown.entry_pass,
                session=session,
                kiosk=kiosk,
                kind=shown.kind,
                at=at,
            )
    except IntegrityError:
        if not PassUse.objects.filter(code_hash=shown.code_hash).exists():
            raise
        raise PassRefusedError(PassRefusal.USED) from None
    if shown.entry_pass is not None:
        shown.entry_pass.used_at = at
        shown.entry_pass.save(update_fields=["used_at"])


# Rotating passes


def rotating_payload(*, student: Student, session: ClassSession, at: datetime) -> str:
    """What the student's own page shows in this step of 30 s."""
    signed = _SIGNED.pack(student.pk.to_bytes(6), session.pk.to_bytes(6), _step(at))
    sealed = signed + _signature(signed, settings.SECRET_KEY)
    return ROTATING_PREFIX + base64.b32encode(sealed).decode()


def ms_until_next_step(at: datetime) -> int:
    """How long the page shows this code before it asks for the next one."""
    return STEP_S * 1000 - int(at.timestamp() * 1000) % (STEP_S * 1000)


def _step(at: datetime) -> int:
    return int(at.timestamp()) // STEP_S


def _signature(signed: bytes, key: str | bytes) -> bytes:
    mac = salted_hmac(_SALT, signed, secret=key, algorithm="sha256")
    return mac.digest()[:_SIGNATURE_BYTES]


def _opened(payload: str) -> tuple[int, int, int]:
    """Student, session and step of a payload that carries our signature."""
    if not _ROTATING.fullmatch(payload):
        _refuse(PassRefusal.UNKNOWN)
    sealed = base64.b32decode(payload.removeprefix(ROTATING_PREFIX))
    signed, signature = sealed[: _SIGNED.size], sealed[_SIGNED.size :]
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # Every key is tried, so that the time tells nothing.
    if True not in [constant_time_compare(signature, _signature(signed, key)) for key in keys]:
        _refuse(PassRefusal.UNKNOWN)
    student, session, step = _SIGNED.unpack(signed)
    return int.from_bytes(student), int.from_bytes(session), step


def _hash(payload: str) -> str:
    """A plain SHA-256: a code has too many random or signed bits to be guessed from it."""
    return hashlib.sha256(payload.encode()).hexdigest()


# Mailed passes


@dataclass(frozen=True, slots=True)
class Mailed:
    """The passes that were mailed, and the students whom no mail reaches."""

    passes: list[EntryPass]
    without_address: list[Student]


def issue_pass(*, student: Student, by: User | None, at: datetime) -> EntryPass:
    """Mail a new one-time pass; the one before ends with it.

    ``by`` is nobody where the system does it.

    Raises:
        NoAddressError: there is no address to mail it to.
    """
    mailed = issue_passes(students=[student], by=by, at=at)
    if mailed.without_address:
        raise NoAddressError(student)
    return mailed.passes[0]


def issue_passes(*, students: Sequence[Student], by: User | None, at: datetime) -> Mailed:
    """Mail each of them a new one-time pass, all or none; the ones before end with it."""
    reached = {student.pk: student for student in students if address_of(student)}
    # Drawn before the transaction: a picture takes milliseconds, and the kiosks must not wait.
    drawn = {student.pk: _Drawn.of(student, by, at) for student in reached.values()}
    with transaction.atomic():
        _lock(reached)
        _end_passes(reached, at)
        passes = EntryPass.objects.bulk_create(one.entry_pass for one in drawn.values())
        send_together([one.mail for one in drawn.values()])
    return Mailed(passes, [student for student in students if student.pk not in reached])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A pass and the mail that carries it: the code itself is nowhere else."""

    entry_pass: EntryPass
    mail: EmailMessage

    @classmethod
    def of(cls, student: Student, by: User | None, at: datetime) -> _Drawn:
        payload = ONE_TIME_PREFIX + base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
        entry_pass = EntryPass(
            student=student,
            code_hash=_hash(payload),
            issued_at=at,
            expires_at=at + timedelta(days=settings.ENTRY_PASS_DAYS),
            issued_by=by,
        )
        return cls(entry_pass, _mail_with(payload, entry_pass))


def _mail_with(payload: str, entry_pass: EntryPass) -> EmailMessage:
    student = entry_pass.student
    picture = Attachment("rollcall-pass.png", png_of(payload), "image/png")
    with in_language_of(student.user):
        return notice(
            to=address_of(student),
            subject=_("Your entry pass"),
            template="entry_pass",
            context={"student": student, "valid_until": in_zone_of(student, entry_pass.expires_at)},
            attachments=[picture],
        )


@transaction.atomic
def revoke_passes(student: Student) -> int:
    """End the mailed pass of a student, as when a phone was lost; returns how many that were."""
    _lock([student.pk])
    return _end_passes([student.pk], timezone.now())


@transaction.atomic
def replace_used(student: Student, at: datetime) -> bool:
    """Mail the next one-time pass if the newest one has been used; returns whether it was.

    Somebody without an address gets none.
    """
    _lock([student.pk])
    newest = EntryPass.objects.filter(student=student).order_by("-issued_at", "-pk").first()
    if newest is None or newest.used_at is None or not address_of(student):
        return False
    issue_pass(student=student, by=None, at=at)
    return True


def replace_used_passes(at: datetime) -> int:
    """Mail the next pass to those who got none, because the server ended just after their entry.

    Returns how many that were.
    """
    newer = EntryPass.objects.filter(
        student=OuterRef("student"), issued_at__gt=OuterRef("issued_at")
    )
    used = EntryPass.objects.filter(
        ~Exists(newer), used_at__lt=at - REPLACED_AFTER, used_at__gt=at - REPLACED_WITHIN
    )
    return sum(
        replace_used(entry_pass.student, at) for entry_pass in used.select_related("student__user")
    )


def _lock(student_pks: Iterable[int]) -> None:
    """In the order of their keys; see `_locked`."""
    rows = Student.objects.select_for_update(no_key=True).filter(pk__in=list(student_pks))
    list(rows.order_by("pk").values_list("pk"))


def _end_passes(student_pks: Iterable[int], at: datetime) -> int:
    open_ones = EntryPass.objects.filter(used_at=None, revoked_at=None)
    return open_ones.filter(student__in=list(student_pks)).update(revoked_at=at)


# The square


def qr_of(payload: str) -> segno.QRCode:
    """The smallest symbol, with as much error correction as fits into it.

    The codes are random, so trying all eight masks gains nothing and takes 7 of 9 ms. Turned,
    shrunk and blurred, 400 symbols each, OpenCV misses 4 with mask 2 and 9 to 12 with segno's
    choice.
    """
    return segno.make_qr(payload, mode="alphanumeric", error="M", mask=2)


def png_of(payload: str) -> bytes:
    """A picture of about 400 px, with the white border that readers need."""
    png = io.BytesIO()
    qr_of(payload).save(png, kind="png", scale=12, border=4)
    return png.getvalue()
