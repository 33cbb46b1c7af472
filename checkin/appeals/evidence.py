"""What a record rests on, in words: for the student whose it is, and for who decides.

Nothing here says who somebody looked like, and there is no picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from checkin.appeals.models import Appeal, Disowning
from checkin.marking import status_word
from checkin.models import Attendance, AttendanceChange, CheckinAttempt
from recognition.engine.liveness.actions import Action
from roster.models import ClassSession, Student

#: What was done as asked, and how long after it.
DEEDS: dict[str, str | Promise] = {
    Action.BLINK_ONCE: gettext_lazy(
        "blinked %(reaction)s s after being asked, eyes closed for %(closed)s s"
    ),
    Action.BLINK_TWICE: gettext_lazy("blinked twice, first %(reaction)s s after being asked"),
    Action.TURN_LEFT: gettext_lazy("turned left %(reaction)s s after being asked"),
    Action.TURN_RIGHT: gettext_lazy("turned right %(reaction)s s after being asked"),
    Action.LOOK_UP: gettext_lazy("raised the chin %(reaction)s s after being asked"),
    Action.OPEN_MOUTH: gettext_lazy("opened the mouth %(reaction)s s after being asked"),
}
OTHER_DEED = gettext_lazy("did what was asked %(reaction)s s after it")


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """One check-in: when, where, how it ended, and the figures."""

    at: str
    where: str
    outcome: str
    similarity: str
    liveness: str
    disowned: bool


@dataclass(frozen=True, slots=True)
class ChangeShown:
    at: str
    by: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that a student is shown of one session."""

    session: ClassSession
    attendance: Attendance | None
    attempts: list[AttemptShown]
    changes: list[ChangeShown]
    appeals: list[Appeal]


def record_of(session_pk: int, student: Student) -> Record | None:
    """None where the session does not exist or says nothing of this student."""
    session = ClassSession.objects.select_related("course", "room").filter(pk=session_pk).first()
    if session is None:
        return None
    attendance = Attendance.objects.filter(session=session, student=student)
    record = Record(
        session=session,
        attendance=attendance.select_related("kiosk").first(),
        attempts=attempts_of(session, student),
        changes=_changes_of(session, student),
        appeals=list(Appeal.objects.filter(session=session, student=student).order_by("-pk")),
    )
    return record if record.attendance or record.appeals else None


def attempts_of(session: ClassSession, student: Student) -> list[AttemptShown]:
    """The check-ins of a student in a session, the earliest first."""
    attempts = CheckinAttempt.objects.filter(session=session, student=student)
    disowned = set(
        Disowning.objects.filter(attempt__in=attempts.values("pk")).values_list(
            "attempt", flat=True
        )
    )
    return [
        AttemptShown(
            at=session.clock(attempt.at),
            where=attempt.kiosk.name if attempt.kiosk else _("own device"),
            outcome=attempt.get_outcome_display(),
            similarity=_similarity(attempt),
            liveness=liveness_in_words(attempt.liveness),
            disowned=attempt.pk in disowned,
        )
        for attempt in attempts.select_related("kiosk").order_by("at", "pk")
    ]


def newest_attempt(session: ClassSession, student: Student) -> CheckinAttempt | None:
    """The last check-in that let the student in or out and that nobody disowned."""
    attempts: QuerySet[CheckinAttempt] = CheckinAttempt.objects.filter(
        Q(outcome__in=["present", "late", "checked_out"]),
        session=session,
        student=student,
        disowning=None,
    )
    return attempts.order_by("-at", "-pk").first()


def liveness_in_words(trace: dict[str, Any]) -> str:
    """What the dialogue saw of a living person; empty where no face was asked for.

    >>> liveness_in_words({})
    ''
    """
    if not trace:
        return ""
    deeds = _deeds_in(trace)
    if not deeds or len(deeds) < len(str(trace.get("challenge", "")).split()):
        return _("not proven live")
    seen = ", ".join(_deed_in_words(deed) for deed in deeds)
    frames = trace.get("frames")
    if not isinstance(frames, int):
        return seen
    same = ngettext("%(count)d picture compared", "%(count)d pictures compared", frames)
    return f"{seen}, {same % {'count': frames}}"


def _deeds_in(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """What was done as asked. Attempts from before there were sequences hold one blink."""
    actions = trace.get("actions")
    if isinstance(actions, list):
        return [deed for deed in actions if isinstance(deed, dict)]
    blink = trace.get("blink")
    return [{"action": Action.BLINK_ONCE, **blink}] if isinstance(blink, dict) else []


def _deed_in_words(deed: dict[str, Any]) -> str:
    words = DEEDS.get(deed.get("action", ""), OTHER_DEED)
    return str(words) % {
        "reaction": _seconds(deed.get("reaction_ms")),
        "closed": _seconds(deed.get("closed_ms")),
    }


def _seconds(milliseconds: object) -> str:
    return f"{milliseconds / 1000:.2f}" if isinstance(milliseconds, int | float) else "?"


def _similarity(attempt: CheckinAttempt) -> str:
    if attempt.similarity is None or attempt.threshold is None:
        return ""
    return _("%(similarity).3f, needed %(threshold).3f") % {
        "similarity": attempt.similarity,
        "threshold": attempt.threshold,
    }


def _changes_of(session: ClassSession, student: Student) -> list[ChangeShown]:
    changes = AttendanceChange.objects.filter(session=session, student=student)
    return [
        ChangeShown(
            at=session.clock(change.at),
            by=_by_whom(change, student),
            before=status_word(change.before),
            after=status_word(change.after),
            reason=change.reason or (_("undone") if change.undoes_id else ""),
        )
        for change in changes.select_related("disowning").order_by("-pk")
    ]


def _by_whom(change: AttendanceChange, student: Student) -> str:
    """Without names: members of staff are other people."""
    if was_disowned_at_kiosk(change):
        return _("the person at the kiosk")
    if change.by_id is not None and change.by_id == student.user_id:
        return _("you")
    return _("your lecturer")


def was_disowned_at_kiosk(change: AttendanceChange) -> bool:
    """Whether it is of a "not me" that nobody was logged in for."""
    disowning = getattr(change, "disowning", None)
    return disowning is not None and disowning.at_kiosk
