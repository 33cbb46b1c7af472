"""From a live probe to what the kiosk shows: the synchronous half of the consumer's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from checkin.models import Attendance, Kiosk, Outcome
from checkin.selectors import arrivals_in, open_sessions_for
from checkin.services import CheckinResult, Evidence, record_attempt, record_attendance
from checkin.texts import OUTCOME_TITLES, OUTCOME_TONES, REFUSAL_TEXTS, shown_name
from recognition.engine.dialogue import LiveProbe, Step
from recognition.engine.gallery import Decision, identify
from recognition.engine.thresholds import IdentificationThresholds
from recognition.selectors import GalleryCache
from recognition.workers import active_model_id
from roster.models import ClassSession, Course
from roster.selectors import students_in

galleries = GalleryCache()

SEEN_EVERY = timedelta(seconds=30)

REFUSED_AS = {Decision.UNKNOWN: Outcome.UNKNOWN, Decision.AMBIGUOUS: Outcome.AMBIGUOUS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the screen shows. A refusal has neither a name nor a time."""

    outcome: Outcome
    title: str
    message: str
    tone: str
    name: str | None = None
    time: str | None = None


def verdict_on(kiosk: Kiosk, sessions: Sequence[ClassSession], step: Step, at: datetime) -> Verdict:
    """Decide on a dialogue's last step, a live probe or a refusal, and keep the attempt."""
    if step.probe is not None:
        return _identified(kiosk, sessions, step.probe, at)
    evidence = Evidence(model_id=active_model_id(), gallery_size=0, liveness=step.trace)
    return _refused(kiosk, sessions, Outcome.SPOOF, step.refusal or "", evidence, at)


def _identified(
    kiosk: Kiosk, sessions: Sequence[ClassSession], probe: LiveProbe, at: datetime
) -> Verdict:
    """Search a live face among the classes of the open sessions and record the arrival."""
    model_id = active_model_id()
    gallery = galleries.gallery_for(sessions, model_id=model_id, dimensions=len(probe.embedding))
    thresholds = IdentificationThresholds()
    found = identify(
        gallery,
        probe.embedding,
        threshold=thresholds.similarity_for(len(gallery)),
        margin=thresholds.margin,
    )
    evidence = Evidence(
        model_id=model_id,
        gallery_size=found.gallery_size,
        similarity=found.similarity,
        runner_up=found.runner_up,
        threshold=found.threshold,
        liveness=probe.trace,
    )
    if found.template_id is None:
        return _refused(kiosk, sessions, REFUSED_AS[found.decision], "", evidence, at)
    return _shown(
        record_attendance(
            kiosk=kiosk,
            sessions=sessions,
            template_id=found.template_id,
            evidence=evidence,
            at=at,
        )
    )


def seen(kiosk: Kiosk, at: datetime) -> bool:
    """Note that the kiosk is there, now and then; False if it was revoked or deleted."""
    kiosks = Kiosk.objects.filter(pk=kiosk.pk, revoked_at=None, token_hash=kiosk.token_hash)
    not_lately = Q(last_seen_at=None) | Q(last_seen_at__lt=at - SEEN_EVERY)
    return bool(kiosks.filter(not_lately).update(last_seen_at=at)) or kiosks.exists()


def current_sessions(kiosk: Kiosk, at: datetime) -> tuple[list[ClassSession], list[dict[str, Any]]]:
    """The sessions that the kiosk serves now, and how its screen tells them."""
    sessions = open_sessions_for(kiosk, at)
    arrived = arrivals_in(sessions)
    return sessions, [
        {
            "course": session.course.title,
            "code": session.course.code,
            "room": session.room.name if session.room else "",
            "starts": _clock(session.starts_at, session.course),
            "ends": _clock(session.ends_at, session.course),
            "expected": students_in(session).count(),
            "present": arrived.get(session.pk, 0),
        }
        for session in sessions
    ]


def _refused(
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    outcome: Outcome,
    reason: str,
    evidence: Evidence,
    at: datetime,
) -> Verdict:
    # With two sessions open, nobody knows to which of them an unknown face came.
    session = sessions[0] if len(sessions) == 1 else None
    record_attempt(
        kiosk=kiosk, outcome=outcome, reason=reason, evidence=evidence, at=at, session=session
    )
    return _shown(CheckinResult(outcome=outcome))


def _shown(result: CheckinResult) -> Verdict:
    attendance = result.attendance
    title, tone = str(OUTCOME_TITLES[result.outcome]), OUTCOME_TONES.get(result.outcome, "bad")
    if attendance is None:
        return Verdict(result.outcome, title, str(REFUSAL_TEXTS[result.outcome]), tone)
    return Verdict(
        outcome=result.outcome,
        title=title,
        message=attendance.session.course.title,
        tone=tone,
        name=_name(attendance),
        time=_clock(attendance.arrived_at, attendance.session.course),
    )


def _name(attendance: Attendance) -> str:
    short = attendance.session.course.shown_name == Course.ShownName.SHORT
    return shown_name(attendance.student.name, short=short)


def _clock(moment: datetime | None, course: Course) -> str | None:
    return timezone.localtime(moment, course.zone).strftime("%H:%M") if moment else None
