"""From a live probe or a pass to what the kiosk shows: the synchronous half of the consumer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from checkin.alerts.services import note_denied, note_spoof, note_stranger
from checkin.appeals.not_me import disown
from checkin.liveness import outcome_of
from checkin.models import Attendance, CheckinAttempt, Kiosk, Outcome
from checkin.passes.second_factor import (
    DENIED_STILL,
    WRONG_PASSES_ALONE_WITHIN,
    enrolled_in,
    is_denied,
    pass_due,
)
from checkin.passes.services import PassRefusal, owner_of, takes_pass
from checkin.selectors import arrivals_in, open_sessions_for, opened_by
from checkin.services import (
    CheckinResult,
    Evidence,
    record_attempt,
    record_attendance,
    record_pass,
)
from checkin.texts import (
    OUTCOME_TITLES,
    OUTCOME_TONES,
    PASS_INSTEAD_TEXTS,
    REASON_PASS_TEXTS,
    REASON_TEXTS,
    REASON_TITLES,
    REFUSAL_TEXTS,
    shown_name,
)
from recognition.engine.dialogue import LiveProbe, PassEnd, Step
from recognition.engine.gallery import Decision
from recognition.engine.types import Embedding, EngineError
from recognition.identification import Found, find
from recognition.mistakes import is_mistaken
from recognition.models import FaceTemplate
from recognition.selectors import GalleryCache
from recognition.workers import active_model_id
from roster.models import ClassSession, Course, EntryPolicy, Student
from roster.selectors import students_in

galleries = GalleryCache()

logger = logging.getLogger(__name__)

#: Of these another look at the face may make a match.
NOT_SURE = (Decision.UNCERTAIN, Decision.AMBIGUOUS)
#: Stored reasons of attempts that a lecturer has to decide.
UNCERTAIN, LOOK_ALIKE = "uncertain", "look_alike"

#: After these a pass is shown again in vain, whatever changes meanwhile.
FOR_GOOD = (
    PassRefusal.FOREIGN,
    PassRefusal.UNKNOWN,
    PassRefusal.USED,
    PassRefusal.EXPIRED,
    PassRefusal.REVOKED,
)


@dataclass(frozen=True, slots=True)
class Concern:
    """What somebody else must hear of, once the person at the kiosk has been answered.

    ``embedding`` belongs to a stranger, ``student`` to who was recognised and showed no good pass.
    """

    attempt: CheckinAttempt
    sessions: list[ClassSession]
    embedding: Embedding | None = None
    student: Student | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the screen shows. A refusal has neither a name nor a time.

    ``disownable`` is the attempt to which the person who reads the name may say "not me".
    """

    outcome: Outcome
    title: str
    message: str
    tone: str
    name: str | None = None
    time: str | None = None
    disownable: CheckinAttempt | None = None
    concern: Concern | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody was recognised and must show their pass too. Nobody is told who until then.

    ``look_alikes`` are templates of others whom the face may show as well: the pass says which.
    """

    template_id: int
    embedding: Embedding
    evidence: Evidence
    session: ClassSession
    look_alikes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OnceMore:
    """The face is nearly somebody's: more frames of it may decide. Nothing was kept."""


@dataclass(frozen=True, slots=True)
class WrongCode:
    """Not the pass that it should be; the person may show another one."""

    refusal: PassRefusal
    sentence: str


class RefusedCodes:
    """Codes that were refused a moment ago: shown again, they are neither tried nor counted."""

    REMEMBERED_S = WRONG_PASSES_ALONE_WITHIN.total_seconds()
    MOST = 100

    def __init__(self) -> None:
        self._codes: dict[str, tuple[float, WrongCode]] = {}

    def add(self, code: str, wrong: WrongCode, now_s: float) -> None:
        if len(self._codes) >= self.MOST:
            self._codes.clear()
        self._codes[code] = now_s + self.REMEMBERED_S, wrong

    def get(self, code: str, now_s: float) -> WrongCode | None:
        until_s, wrong = self._codes.get(code, (0.0, None))
        return wrong if now_s < until_s else None


# By face


def verdict_on(
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    step: Step,
    at: datetime,
    *,
    may_look_again: bool = False,
) -> Verdict | Claim | OnceMore:
    """Decide on a dialogue's last step, a live probe or a refusal, and keep the attempt.

    A claim where the person is known and has to show a pass, and `OnceMore` where another look may
    decide and ``may_look_again`` allows it: then nothing is kept yet.
    """
    if step.probe is not None:
        return _identified(kiosk, sessions, step.probe, at, may_look_again)
    evidence = Evidence(model_id=active_model_id(), gallery_size=0, liveness=step.trace)
    assert step.refusal is not None  # noqa: S101 -- for the type checker
    outcome = outcome_of(step.refusal)
    attempt = _keep_refusal(kiosk, sessions, outcome, step.refusal, evidence, at)
    concern = Concern(attempt, list(sessions)) if outcome is Outcome.SPOOF else None
    return _refusal(sessions, attempt, concern)


def _identified(
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    probe: LiveProbe,
    at: datetime,
    may_look_again: bool,
) -> Verdict | Claim | OnceMore:
    """Search a live face among the classes of the open sessions and record the arrival."""
    try:
        found = find(galleries, sessions, probe)
    except EngineError as error:
        logger.error("kiosk %s: nobody can be identified: %s", kiosk.pk, error)
        evidence = Evidence(model_id=active_model_id(), gallery_size=0, liveness=probe.trace)
        attempt = _keep_refusal(kiosk, sessions, Outcome.ERROR, error.code, evidence, at)
        return _refusal(sessions, attempt)
    evidence = _evidence_of(found, probe)
    if found.is_one_of_look_alikes:
        return _one_of_look_alikes(kiosk, sessions, found, evidence, at)
    if found.decision is Decision.MATCH:
        return _matched(kiosk, sessions, found, evidence, at)
    if may_look_again and found.decision in NOT_SURE:
        return OnceMore()
    return _unidentified(kiosk, sessions, found, evidence, at)


def _evidence_of(found: Found, probe: LiveProbe) -> Evidence:
    return Evidence(
        model_id=found.model_id,
        gallery_size=found.identification.gallery_size,
        similarity=found.identification.similarity,
        runner_up=found.identification.runner_up,
        threshold=found.identification.threshold,
        liveness=probe.trace,
    )


def _matched(
    kiosk: Kiosk, sessions: Sequence[ClassSession], found: Found, evidence: Evidence, at: datetime
) -> Verdict | Claim:
    template_id = found.identification.template_id
    assert template_id is not None  # noqa: S101 -- for the type checker
    if is_mistaken(template_id=template_id, embedding=found.embedding):
        attempt = _keep_refusal(kiosk, sessions, Outcome.AMBIGUOUS, "disowned", evidence, at)
        return _refusal(sessions, attempt)
    due = pass_due(template_id, sessions, at)
    if due is None:
        return _recorded_by_face(kiosk, sessions, template_id, found.embedding, evidence, at)
    claim = Claim(template_id, found.embedding, evidence, due.session)
    return _claimed(kiosk, sessions, claim, due.student, at)


def _claimed(
    kiosk: Kiosk, sessions: Sequence[ClassSession], claim: Claim, student: Student, at: datetime
) -> Verdict | Claim:
    if not is_denied(student, claim.session, at):
        return claim
    attempt = _keep_claim(kiosk, claim, Outcome.DENIED, DENIED_STILL, at)
    return _refusal(sessions, attempt)


def _one_of_look_alikes(
    kiosk: Kiosk, sessions: Sequence[ClassSession], found: Found, evidence: Evidence, at: datetime
) -> Verdict | Claim:
    """Known beforehand to be like somebody of the class: the face alone decides nothing."""
    template_id = found.nearest_template_id
    assert template_id is not None  # noqa: S101 -- for the type checker
    student = Student.objects.filter(face_templates=template_id).first()
    own = enrolled_in(sessions, student) if student else []
    session = next((one for one in own if takes_pass(one, alone=False)), None)
    if student is None or session is None:
        attempt = _keep_refusal(kiosk, sessions, Outcome.SECOND_FACTOR, LOOK_ALIKE, evidence, at)
        return _refusal(sessions, attempt)
    claim = Claim(template_id, found.embedding, evidence, session, found.look_alikes)
    return _claimed(kiosk, sessions, claim, student, at)


def _unidentified(
    kiosk: Kiosk, sessions: Sequence[ClassSession], found: Found, evidence: Evidence, at: datetime
) -> Verdict:
    if found.decision is Decision.UNKNOWN:
        attempt = _keep_refusal(kiosk, sessions, Outcome.UNKNOWN, "", evidence, at)
        stranger = Concern(attempt, list(sessions), embedding=found.embedding)
        return _refusal(sessions, attempt, stranger)
    reason = UNCERTAIN if found.decision is Decision.UNCERTAIN else ""
    attempt = _keep_refusal(kiosk, sessions, Outcome.AMBIGUOUS, reason, evidence, at)
    return _refusal(sessions, attempt)


def _recorded_by_face(
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    template_id: int,
    embedding: Embedding,
    evidence: Evidence,
    at: datetime,
) -> Verdict:
    result = record_attendance(
        kiosk=kiosk,
        sessions=sessions,
        template_id=template_id,
        evidence=evidence,
        at=at,
        embedding=embedding,
    )
    if result.session and result.session.entry_policy == EntryPolicy.FACE_AND_PASS:
        # Recorded before, and a face alone proves too little there to be told a name.
        return replace(_shown(sessions, result), name=None, time=None)
    named = result.attempt if result.attendance is not None else None
    return replace(_shown(sessions, result), disownable=named)


# By pass


def takes_passes(sessions: Sequence[ClassSession]) -> bool:
    """Whether a pass alone opens one of these sessions."""
    return any(takes_pass(session, alone=True) for session in sessions)


def verdict_on_pass(
    kiosk: Kiosk, sessions: Sequence[ClassSession], code: str, at: datetime
) -> Verdict | WrongCode:
    """Decide on a code that somebody has shown without being recognised, and keep the attempt."""
    nothing_seen = Evidence(model_id="", gallery_size=0)
    result = record_pass(kiosk=kiosk, sessions=sessions, payload=code, evidence=nothing_seen, at=at)
    return _on_pass(sessions, result, None)


def verdict_on_claim(
    kiosk: Kiosk, sessions: Sequence[ClassSession], claim: Claim, code: str, at: datetime
) -> Verdict | WrongCode:
    """Decide on the code that was shown after the face was recognised, and keep the attempt."""
    result = record_attendance(
        kiosk=kiosk,
        sessions=sessions,
        template_id=_template_shown_by(claim, code, at),
        evidence=claim.evidence,
        at=at,
        embedding=claim.embedding,
        payload=code,
    )
    return _on_pass(sessions, result, result.attempt.student if result.attempt else None)


def _template_shown_by(claim: Claim, code: str, at: datetime) -> int:
    """Of people who look alike the one whose pass this is; else whose face it is most like."""
    if not claim.look_alikes:
        return claim.template_id
    owners = FaceTemplate.objects.filter(pk__in=claim.look_alikes, student=owner_of(code, at))
    return owners.values_list("pk", flat=True).first() or claim.template_id


def give_claim_up(
    kiosk: Kiosk, sessions: Sequence[ClassSession], claim: Claim, ended: PassEnd, at: datetime
) -> Verdict:
    """Keep that no pass was shown after the face was recognised."""
    return _refusal(sessions, _keep_claim(kiosk, claim, Outcome.SECOND_FACTOR, ended, at))


def _on_pass(
    sessions: Sequence[ClassSession], result: CheckinResult, student: Student | None
) -> Verdict | WrongCode:
    refused = result.refused
    if refused is not None and result.outcome is Outcome.SECOND_FACTOR:
        return WrongCode(refused.refusal, str(refused))
    verdict = _shown(sessions, result)
    if result.outcome is not Outcome.DENIED or refused is None or result.attempt is None:
        return verdict
    concerned = [result.session] if result.session else list(sessions)
    return replace(verdict, concern=Concern(result.attempt, concerned, student=student))


# Afterwards


def raise_concern(concern: Concern, kiosk: Kiosk, picture: bytes, at: datetime) -> None:
    """Tell those whom the courses name; ``picture`` is the JPEG as it came from the camera.

    A face or a pass that belongs to none of several open sessions concerns each of them.
    """
    for session in concern.sessions:
        if concern.attempt.outcome == Outcome.SPOOF:
            note_spoof(
                kiosk=kiosk, session=session, attempt=concern.attempt, picture=picture, at=at
            )
        elif concern.embedding is not None:
            note_stranger(
                kiosk=kiosk,
                session=session,
                attempt=concern.attempt,
                embedding=concern.embedding,
                picture=picture,
                at=at,
            )
        else:
            note_denied(
                kiosk=kiosk,
                session=session,
                attempt=concern.attempt,
                student=concern.student,
                picture=picture,
                at=at,
            )


def not_me(attempt: CheckinAttempt, at: datetime) -> None:
    """The person at the kiosk says that the name was not theirs.

    Raises:
        NotMeRefusedError: it cannot be undone, and nothing was changed.
    """
    disown(attempt=attempt, at=at, at_kiosk=True)


# The kiosk and its sessions


def looked_after(
    kiosk: Kiosk, token_hash: str, at: datetime
) -> tuple[list[ClassSession], list[dict[str, Any]]] | None:
    """What the kiosk serves, or None if it is not there any longer or this token opens it not."""
    return current_sessions(kiosk, at) if _seen(kiosk.pk, token_hash, at) else None


def _seen(kiosk_pk: int, token_hash: str, at: datetime) -> bool:
    return Kiosk.objects.filter(opened_by(token_hash, at), pk=kiosk_pk, revoked_at=None).exists()


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
            "entry": session.entry_policy.value,
            "expected": students_in(session).count(),
            "present": arrived.get(session.pk, 0),
        }
        for session in sessions
    ]


# What is kept and shown


def _keep_refusal(
    kiosk: Kiosk,
    sessions: Sequence[ClassSession],
    outcome: Outcome,
    reason: str,
    evidence: Evidence,
    at: datetime,
) -> CheckinAttempt:
    # With two sessions open, nobody knows to which of them an unknown face came.
    session = sessions[0] if len(sessions) == 1 else None
    return record_attempt(
        kiosk=kiosk, outcome=outcome, reason=reason, evidence=evidence, at=at, session=session
    )


def _keep_claim(
    kiosk: Kiosk, claim: Claim, outcome: Outcome, reason: str, at: datetime
) -> CheckinAttempt:
    return record_attempt(
        kiosk=kiosk,
        outcome=outcome,
        reason=reason,
        evidence=claim.evidence,
        at=at,
        session=claim.session,
        # Of people who look alike nobody knows whose attempt it was.
        template=None
        if claim.look_alikes
        else FaceTemplate.objects.filter(pk=claim.template_id).first(),
    )


def _refusal(
    sessions: Sequence[ClassSession], attempt: CheckinAttempt, concern: Concern | None = None
) -> Verdict:
    outcome, reason = Outcome(attempt.outcome), attempt.reason
    shown = _shown(sessions, CheckinResult(outcome=outcome, reason=reason))
    return replace(shown, concern=concern)


def _shown(sessions: Sequence[ClassSession], result: CheckinResult) -> Verdict:
    attendance = result.attendance
    title = str(REASON_TITLES.get(result.reason) or OUTCOME_TITLES[result.outcome])
    tone = OUTCOME_TONES.get(result.outcome, "bad")
    if attendance is None:
        return Verdict(result.outcome, title, _what_to_do(sessions, result), tone)
    return Verdict(
        outcome=result.outcome,
        title=title,
        message=attendance.session.course.title,
        tone=tone,
        name=_name(attendance),
        time=_clock(attendance.left_at or attendance.arrived_at, attendance.session.course),
    )


def _what_to_do(sessions: Sequence[ClassSession], result: CheckinResult) -> str:
    """By the attempt's own reason, else by its outcome."""
    if takes_passes(sessions):
        instead = REASON_PASS_TEXTS.get(result.reason) or PASS_INSTEAD_TEXTS.get(result.outcome)
        if instead:
            return str(instead)
    return str(REASON_TEXTS.get(result.reason) or REFUSAL_TEXTS[result.outcome])


def _name(attendance: Attendance) -> str:
    short = attendance.session.course.shown_name == Course.ShownName.SHORT
    return shown_name(attendance.student.name, short=short)


def _clock(moment: datetime | None, course: Course) -> str | None:
    return timezone.localtime(moment, course.zone).strftime("%H:%M") if moment else None
