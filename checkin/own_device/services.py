"""Check-in from a student's own device: who may, from where, and what a face there leads to.

The login says who it should be, so a face is compared with this one person only (1:1).
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.client_address import Address
from checkin.liveness import outcome_of
from checkin.locks import locked_sessions
from checkin.models import Attendance, CheckinAttempt, Outcome
from checkin.passes.second_factor import leaves_from
from checkin.services import CheckinResult, Evidence, record_attempt, record_attendance
from recognition.engine.dialogue import LiveProbe, Step
from recognition.engine.gallery import Gallery, Identification, identify
from recognition.engine.models import EMBEDDED_MODEL_ID
from recognition.engine.thresholds import VERIFICATION_SIMILARITY
from recognition.engine.types import Embedding, EngineError
from recognition.mistakes import is_mistaken
from recognition.models import FaceTemplate
from recognition.sealing import TemplateUnreadableError
from recognition.selectors import has_consent, templates_in_force, thresholds_in_force
from recognition.workers import active_model_id, previous_model_id
from roster.models import ClassSession, EntryPolicy, Student
from roster.selectors import open_sessions, students_in

logger = logging.getLogger(__name__)

#: So many attempts may fail within this time, for one student and session.
MAX_FAILED = 10
FAILED_WITHIN = timedelta(minutes=10)
FAILED = (Outcome.UNKNOWN, Outcome.SPOOF, Outcome.SECOND_FACTOR)


class Obstacle(StrEnum):
    """Why somebody may not check in here now. The codes are stable: pages hang on them."""

    NOT_YOURS = "not_yours"
    NOT_OFFERED = "not_offered"
    PASS_NEEDED = "pass_needed"  # noqa: S105 -- a code, no password
    NOT_OPEN_YET = "not_open_yet"
    SESSION_OVER = "session_over"
    NETWORK = "network"
    NO_CONSENT = "no_consent"
    NO_TEMPLATE = "no_template"
    PAUSED = "paused"


class NotAdmittedError(Exception):
    """Check-in from the own device is not possible; the text says what to do instead."""

    def __init__(self, obstacle: Obstacle, sentence: str) -> None:
        super().__init__(sentence)
        self.obstacle = obstacle


@dataclass(frozen=True, slots=True)
class Admission:
    """A student who may check in to a session, and the template that a face must match."""

    student: Student
    session: ClassSession
    template: FaceTemplate


def sessions_for(student: Student, at: datetime) -> list[ClassSession]:
    """The open sessions of this student that take a check-in from the own device."""
    return [
        session
        for session in open_sessions(at)
        if session.course.own_device
        and session.entry_policy != EntryPolicy.FACE_AND_PASS
        and _is_listed(student, session)
    ]


def sessions_to_enter(student: Student, at: datetime) -> list[ClassSession]:
    """Of `sessions_for` those at which the student has not arrived yet, or may leave now."""
    sessions = sessions_for(student, at)
    standings = [(session, standing_in(student, session)) for session in sessions]
    return [session for session, stands in standings if stands is None or stands.may_leave(at)]


def session_of(student: Student, session_pk: int) -> ClassSession:
    """The session, if the student is on its class list.

    Raises:
        NotAdmittedError: they are not, or there is no such session: the answer is the same.
    """
    sessions = ClassSession.objects.select_related("course", "room")
    session = sessions.filter(pk=session_pk).first()
    if session is None or not _is_listed(student, session):
        raise NotAdmittedError(
            Obstacle.NOT_YOURS,
            _("This session is not one of yours. Open the check-in from your start page."),
        )
    return session


def admit(*, student: Student, session_pk: int, address: Address | None, at: datetime) -> Admission:
    """Whether this student may check in to this session now, from this address.

    Raises:
        NotAdmittedError: not now, or not like this; the text says what to do.
    """
    session = session_of(student, session_pk)
    _require_offer(session)
    _require_open(session, at)
    _require_network(session, address)
    template = _template_of(student)
    _require_patience(student, session, at)
    return Admission(student, session, template)


@transaction.atomic
def check_in(
    *, student: Student, session_pk: int, address: Address | None, step: Step, at: datetime
) -> CheckinResult:
    """Decide on a dialogue's last step, a live probe or a refusal, and keep the attempt.

    Everything that may have changed since the page was opened is checked again. Nobody is told of
    a face that does not match: it is seen on a device of which the account is known.

    Raises:
        NotAdmittedError: check-in is not possible any more. Nothing was written.
    """
    # As arrivals do, and before anything is counted: attempts of one student come one by one.
    locked_sessions().filter(pk=session_pk).first()
    admission = admit(student=student, session_pk=session_pk, address=address, at=at)
    if step.probe is None:
        assert step.refusal is not None  # noqa: S101 -- for the type checker
        evidence = Evidence(model_id=active_model_id(), gallery_size=1, liveness=step.trace)
        return _failed(admission, outcome_of(step.refusal), step.refusal, evidence, at)
    return _verified(admission, step.probe, at)


def _verified(admission: Admission, probe: LiveProbe, at: datetime) -> CheckinResult:
    """Compare a live face with the student's own template and record the arrival or leaving."""
    template = admission.template
    embedding = probe.embedding if template.model_id == active_model_id() else probe.previous
    try:
        found = _compared(template, embedding)
    except EngineError as error:
        logger.error("template %s cannot be compared: %s", template.pk, error)
        evidence = Evidence(model_id=template.model_id, gallery_size=1, liveness=probe.trace)
        return _failed(admission, Outcome.ERROR, error.code, evidence, at)
    assert embedding is not None  # noqa: S101 -- for the type checker
    evidence = Evidence(
        model_id=template.model_id,
        gallery_size=found.gallery_size,
        similarity=found.similarity,
        threshold=found.threshold,
        liveness=probe.trace,
    )
    if found.template_id is None:
        return _failed(admission, Outcome.UNKNOWN, "", evidence, at)
    if is_mistaken(template_id=template.pk, embedding=embedding):
        return _failed(admission, Outcome.UNKNOWN, "mistaken", evidence, at)
    return record_attendance(
        kiosk=None,
        sessions=[admission.session],
        template_id=template.pk,
        evidence=evidence,
        at=at,
        embedding=embedding,
    )


def _compared(template: FaceTemplate, embedding: Embedding | None) -> Identification:
    """The 1:1 search of a probe by the template's own model.

    Raises:
        EngineError: that model made no embedding, or nobody knows its thresholds.
    """
    if embedding is None:
        raise EngineError(
            "no_embedding",
            f"no embedding was made by {template.model_id}: name it in RECOGNITION_MODEL or "
            "RECOGNITION_PREVIOUS_MODEL, and restart",
        )
    own = Gallery.of(
        {template.pk: _vector_of(template)},
        model_id=template.model_id,
        dimensions=len(embedding),
    )
    threshold = _least_similarity(template.model_id)
    return identify(own, embedding, threshold=threshold, margin=0.0)


def _least_similarity(model_id: str) -> float:
    """At FMR 0.01 %, which is an FPIR of 0.1 % in a gallery of ten."""
    if model_id == EMBEDDED_MODEL_ID:
        return VERIFICATION_SIMILARITY
    return thresholds_in_force(model_id=model_id).similarity_for(10)


def _vector_of(template: FaceTemplate) -> Embedding:
    try:
        return template.vector()
    except TemplateUnreadableError as error:
        logger.error("template %s cannot be compared: %s", template.pk, error)
        raise NotAdmittedError(
            Obstacle.NO_TEMPLATE,
            _("Your registration cannot be read any more. Register your face again."),
        ) from error


def _failed(
    admission: Admission, outcome: Outcome, reason: str, evidence: Evidence, at: datetime
) -> CheckinResult:
    # The account says whose attempt it was, though the face does not.
    record_attempt(
        kiosk=None,
        outcome=outcome,
        reason=reason,
        evidence=evidence,
        at=at,
        session=admission.session,
        template=admission.template,
    )
    return CheckinResult(outcome=outcome, reason=reason)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is recorded already. ``leaves_from`` is set while checking out is still to come."""

    attendance: Attendance
    leaves_from: datetime | None

    def may_leave(self, at: datetime) -> bool:
        return self.leaves_from is not None and at >= self.leaves_from


def standing_in(student: Student, session: ClassSession) -> Standing | None:
    row = Attendance.objects.filter(student=student, session=session).first()
    if row is None:
        return None
    row.session = session
    return Standing(row, leaves_from(row, session))


def _is_listed(student: Student, session: ClassSession) -> bool:
    return students_in(session).filter(pk=student.pk).exists()


def _require_offer(session: ClassSession) -> None:
    if not session.course.own_device:
        raise NotAdmittedError(
            Obstacle.NOT_OFFERED,
            _("This course takes no check-in from your own device. Go to the kiosk in the room."),
        )
    if session.entry_policy == EntryPolicy.FACE_AND_PASS:
        raise NotAdmittedError(
            Obstacle.PASS_NEEDED,
            _(
                "This session asks for your face and your pass together, which only a kiosk can "
                "check. Go to the kiosk in the room."
            ),
        )


def _require_open(session: ClassSession, at: datetime) -> None:
    if session.is_open(at):
        return
    if session.state(at) == ClassSession.State.PLANNED:
        text = _("Check-in opens at %(time)s. Come back then.")
        opens = _clock(session.opens_at, session)
        raise NotAdmittedError(Obstacle.NOT_OPEN_YET, text % {"time": opens})
    raise NotAdmittedError(
        Obstacle.SESSION_OVER,
        _("This session is over. If you were there and are not recorded, ask your lecturer."),
    )


def _require_network(session: ClassSession, address: Address | None) -> None:
    ranges = session.course.own_device_networks.split()
    if not ranges or (address and any(address in ipaddress.ip_network(one) for one in ranges)):
        return
    text = _(
        "This course takes check-ins from its own network only, and you come from %(address)s. "
        "Join the network of the building, then load this page again."
    )
    shown = str(address) if address else _("an unknown address")
    raise NotAdmittedError(Obstacle.NETWORK, text % {"address": shown})


def _template_of(student: Student) -> FaceTemplate:
    if not has_consent(student):
        raise NotAdmittedError(
            Obstacle.NO_CONSENT,
            _(
                "You have not agreed to your face being used. Check in with your pass at the "
                "kiosk, or with your lecturer."
            ),
        )
    for model_id in filter(None, (active_model_id(), previous_model_id())):
        template = templates_in_force(model_id=model_id).filter(student=student).first()
        if template is not None:
            return template
    raise NotAdmittedError(
        Obstacle.NO_TEMPLATE,
        _("Your face is not registered yet. Register it first; today your lecturer helps you."),
    )


def _require_patience(student: Student, session: ClassSession, at: datetime) -> None:
    failed = CheckinAttempt.objects.filter(
        kiosk=None, student=student, session=session, outcome__in=FAILED, at__gt=at - FAILED_WITHIN
    ).order_by("-at")
    counted = list(failed.values_list("at", flat=True)[:MAX_FAILED])
    if len(counted) < MAX_FAILED:
        return
    text = _("%(most)d attempts failed. Try again at %(time)s, or go to the kiosk in the room.")
    again = _clock(counted[-1] + FAILED_WITHIN + timedelta(minutes=1), session)
    raise NotAdmittedError(Obstacle.PAUSED, text % {"most": MAX_FAILED, "time": again})


def _clock(moment: datetime, session: ClassSession) -> str:
    return timezone.localtime(moment, session.course.zone).strftime("%H:%M")
