"""Appeals: a student questions a record, the lecturer decides, both are told by mail."""

from __future__ import annotations

import logging
from datetime import datetime, time, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from checkin.appeals.models import MAX_ANSWER_LENGTH, MAX_TEXT_LENGTH, Appeal, Disowning
from checkin.events import appeal_decided, appeal_opened
from checkin.locks import locked
from checkin.marking import last_change, mark, set_state, state_of
from checkin.models import Attendance
from checkin.sessions.services import locked_sentence
from recognition.mistakes import forget_mistake
from roster.models import ClassSession, Student
from roster.selectors import address_of, courses_of

logger = logging.getLogger(__name__)

Status = Appeal.Status
#: Whoever asks, withdraws and asks again sends mail to the lecturers each time.
MOST_QUESTIONS = 3
DECIDES = ("checkin.change_appeal", "checkin.change_attendance")


class AppealRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


# Until when


def deadline_of(session: ClassSession) -> datetime | None:
    """The first moment at which it is too late to question a record; None where nobody may.

    It is a midnight of the course's clocks, so that the last day is whole.
    """
    days = session.course.appeal_days
    return None if days is None else midnight_after(session, days)


def midnight_after(session: ClassSession, days: int) -> datetime:
    """The end of the day so many days after the one on which the session ends."""
    zone = session.course.zone
    last_day = timezone.localtime(session.ends_at, zone).date() + timedelta(days=days)
    return datetime.combine(last_day + timedelta(days=1), time.min, tzinfo=zone)


def last_day_of(session: ClassSession) -> str:
    """The last day on which a record may be questioned, on the course's clocks."""
    deadline = deadline_of(session)
    if deadline is None:
        return ""
    last = deadline.astimezone(session.course.zone).date() - timedelta(days=1)
    return f"{last:%Y-%m-%d}"


def why_not_to_ask(session: ClassSession, student: Student, at: datetime) -> str:
    """Why the student cannot question the record now; empty where they can."""
    deadline = deadline_of(session)
    if deadline is None:
        return _("This course takes no appeals here. Talk to your lecturer.")
    if at >= deadline:
        return _(
            "The time for an appeal is over: it ended with %(day)s. Talk to your lecturer."
        ) % {"day": last_day_of(session)}
    if session.is_locked(at):
        return locked_sentence(session)
    return _refused_before(session, student)


def _refused_before(session: ClassSession, student: Student) -> str:
    asked = Appeal.objects.filter(session=session, student=student)
    if asked.filter(status=Status.OPEN).exists():
        return _("Your appeal on this session is open already. Your lecturer decides.")
    questions = asked.filter(kind=Appeal.Kind.QUESTION)
    if questions.exclude(status=Status.WITHDRAWN).exists():
        return _("Your appeal on this session was decided. Talk to your lecturer.")
    if questions.count() >= MOST_QUESTIONS:
        return _("You withdrew %(count)d appeals on this session. Talk to your lecturer.") % {
            "count": MOST_QUESTIONS
        }
    if not Attendance.objects.filter(session=session, student=student).exists():
        return _("Nothing is recorded of you in this session so far.")
    return ""


# What the student does


@transaction.atomic
def open_appeal(*, session: ClassSession, student: Student, text: str, at: datetime) -> Appeal:
    """Question what is recorded of a student, in the student's words.

    Raises:
        AppealRefusedError: it cannot be questioned, or the text cannot be kept, and why.
    """
    session = locked(session)
    if why_not := why_not_to_ask(session, student, at):
        raise AppealRefusedError(why_not)
    appeal = Appeal.objects.create(
        session=session,
        student=student,
        kind=Appeal.Kind.QUESTION,
        text=_checked_text(text),
        opened_at=at,
    )
    appeal_opened(appeal, at=at)
    tell_of_opening(appeal)
    return appeal


@transaction.atomic
def withdraw_appeal(*, appeal: Appeal, at: datetime) -> None:
    """End an appeal without a decision, on the word of the student whose it is.

    Raises:
        AppealRefusedError: it is decided, or it is of a "not me", which the lecturer decides.
    """
    appeal = _locked_open(appeal)
    if not may_withdraw(appeal):
        raise AppealRefusedError(
            _("Somebody said “not me” at this check-in: only your lecturer can decide that.")
        )
    _end(appeal, Status.WITHDRAWN, by=appeal.student.user, at=at, answer="")


def may_withdraw(appeal: Appeal) -> bool:
    """A "not me" may be somebody else's word, and what it stored guards the student's name."""
    return appeal.is_open and not appeal.disownings.exists()


def appeal_of_not_me(*, session: ClassSession, student: Student, at: datetime) -> Appeal:
    """The open appeal that a "not me" belongs to, in the caller's transaction; new if need be."""
    appeal, created = Appeal.objects.get_or_create(
        session=session,
        student=student,
        status=Status.OPEN,
        defaults={"kind": Appeal.Kind.NOT_ME, "opened_at": at},
    )
    if created:
        appeal_opened(appeal, at=at)
    return appeal


# What the lecturer does


def open_appeals(user: User) -> QuerySet[Appeal]:
    """Those of the user's courses that wait for a decision, the oldest first."""
    waiting = Appeal.objects.filter(status=Status.OPEN, session__course__in=courses_of(user))
    return waiting.order_by("opened_at", "pk")


@transaction.atomic
def accept_appeal(
    *, appeal: Appeal, by: User, at: datetime, status: str, answer: str, shown: str
) -> None:
    """Decide that the student is right, and say what holds from now on.

    ``shown`` is the key of the record that ``by`` saw. Without a ``status`` the record stays as
    it is, which only the appeal of a "not me" allows: there the mark is undone already.

    Raises:
        AppealRefusedError: it is not theirs to decide, or decided already.
        MarkRefusedError: the record cannot become so, or has changed since.
    """
    appeal = _decidable(appeal, by)
    answer = _checked_answer(answer)
    if status:
        mark(
            session=appeal.session,
            student=appeal.student,
            status=status,
            by=by,
            reason=answer,
            at=at,
            shown=shown,
        )
    elif not appeal.disownings.exists():
        raise AppealRefusedError(_("Choose what is right: present, late, excused or absent."))
    _end(appeal, Status.ACCEPTED, by=by, at=at, answer=answer)
    _tell_of_decision(appeal)


@transaction.atomic
def refuse_appeal(*, appeal: Appeal, by: User, at: datetime, answer: str) -> None:
    """Decide that the record is right. What a "not me" undid comes back, its pairs are deleted.

    Raises:
        AppealRefusedError: it is not theirs to decide, decided already, there is no answer, or
            the records are locked so that the mark cannot come back.
    """
    appeal = _decidable(appeal, by)
    answer = _checked_answer(answer)
    if not answer:
        raise AppealRefusedError(_("Say why: the student reads it."))
    for disowning in appeal.disownings.select_related("change", "mistake").order_by("-pk"):
        _take_back(disowning, appeal, by=by, at=at, reason=answer)
    _end(appeal, Status.REFUSED, by=by, at=at, answer=answer)
    _tell_of_decision(appeal)


def comes_back(disowning: Disowning, appeal: Appeal) -> bool:
    """Whether refusing brings the mark back: nobody has changed the record since.

    The absence that closing the session wrote since is no change.
    """
    change = disowning.change
    if change is None or last_change(appeal.session, appeal.student) != change:
        return False
    row = Attendance.objects.filter(session=appeal.session, student=appeal.student).first()
    closed_since = row is not None and row.method == Attendance.Method.CLOSING
    return state_of(row) == change.after or (change.after is None and closed_since)


def _take_back(
    disowning: Disowning, appeal: Appeal, *, by: User, at: datetime, reason: str
) -> None:
    if disowning.mistake is not None:
        forget_mistake(disowning.mistake)
    change = disowning.change
    if change is None or not comes_back(disowning, appeal):
        return
    if appeal.session.is_locked(at):
        raise AppealRefusedError(locked_sentence(appeal.session))
    set_state(
        session=appeal.session,
        student=appeal.student,
        becomes=change.before,
        by=by,
        at=at,
        reason=reason,
        undoes=change,
    )


# Locks and checks


def _locked_open(appeal: Appeal) -> Appeal:
    # First the session, then the appeal, as everywhere: two decisions wait for each other.
    locked(appeal.session)
    appeals = Appeal.objects.select_for_update(of=("self",))
    found = appeals.select_related("session__course", "student__user").get(pk=appeal.pk)
    if not found.is_open:
        raise AppealRefusedError(
            _("This appeal is “%(state)s” already: somebody was faster.")
            % {"state": found.get_status_display()}
        )
    return found


def _decidable(appeal: Appeal, by: User) -> Appeal:
    own = courses_of(by).filter(pk=appeal.session.course_id).exists()
    if not own or not by.has_perms(DECIDES):
        raise AppealRefusedError(_("This appeal is not yours to decide."))
    return _locked_open(appeal)


def _checked_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise AppealRefusedError(_("Write what is wrong: your lecturer reads it."))
    return _storable(text, most=MAX_TEXT_LENGTH)


def _checked_answer(answer: str) -> str:
    return _storable(" ".join(answer.split()), most=MAX_ANSWER_LENGTH)


def _storable(text: str, *, most: int) -> str:
    if len(text) > most:
        raise AppealRefusedError(
            _("The text has %(got)d characters, at most %(most)d are kept. Make it shorter.")
            % {"got": len(text), "most": most}
        )
    if "\0" in text:
        raise AppealRefusedError(_("The text holds a character that cannot be stored."))
    return text


def _end(appeal: Appeal, status: Status, *, by: User | None, at: datetime, answer: str) -> None:
    appeal.status, appeal.decided_by, appeal.decided_at = status, by, at
    appeal.answer = answer
    appeal.save(update_fields=["status", "decided_by", "decided_at", "answer"])
    appeal_decided(appeal, at=at)
    logger.info("appeal %s is %s", appeal.pk, status.value)


# Mails


def tell_of_opening(appeal: Appeal) -> None:
    """Mail the student that it was received, and the course's lecturers that it waits."""
    context = {"appeal": appeal, "session": appeal.session, "student": appeal.student}
    by_kiosk = appeal.disownings.filter(at_kiosk=True).exists()
    with in_language_of(appeal.student.user):
        send_notice(
            to=address_of(appeal.student),
            subject=_("Your appeal on %(session)s") % {"session": appeal.session},
            template="appeal_received",
            context={**context, "by_kiosk": by_kiosk},
        )
    for lecturer in appeal.session.course.lecturers.filter(is_active=True).order_by("pk"):
        with in_language_of(lecturer):
            send_notice(
                to=lecturer.email,
                subject=_("An appeal on %(session)s") % {"session": appeal.session},
                template="appeal_opened",
                context={**context, "by_kiosk": by_kiosk},
            )


def _tell_of_decision(appeal: Appeal) -> None:
    row = Attendance.objects.filter(session=appeal.session, student=appeal.student).first()
    with in_language_of(appeal.student.user):
        send_notice(
            to=address_of(appeal.student),
            subject=_("Your appeal on %(session)s was decided") % {"session": appeal.session},
            template="appeal_decided",
            context={
                "appeal": appeal,
                "session": appeal.session,
                "student": appeal.student,
                "record": row.get_status_display() if row else _("not recorded"),
            },
        )
