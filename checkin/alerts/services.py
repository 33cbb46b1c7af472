"""Alerts of strangers, spoofs and wrong passes: raised by kiosks, decided on by lecturers.

Who is told of them, and when, is in `checkin.alerts.mail`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from checkin.alerts.models import Alert
from checkin.appeals.models import KeptProbe
from checkin.events import alert_raised
from checkin.live.events import announce_after_commit
from checkin.locks import locked
from checkin.models import CheckinAttempt, Kiosk, Outcome
from recognition.engine.clustering import joined, nearest
from recognition.engine.pool import WorkerLostError
from recognition.engine.thresholds import AlertThresholds
from recognition.engine.types import Embedding, EngineError
from recognition.models import Consent
from recognition.sealing import TemplateUnreadableError
from recognition.workers import worker_pool
from roster.models import ClassSession, Student
from roster.selectors import address_of, courses_of, students_in

logger = logging.getLogger(__name__)

Kind, Decision = Alert.Kind, Alert.Decision

#: A mail waits until the face was not seen for so long, for it may be let in at the next try.
QUIET = timedelta(seconds=60)
#: Whoever stays before the kiosk does not put the mail off for longer.
LONGEST_WAIT = timedelta(minutes=3)
#: So many refusals of liveness at one kiosk within the window are an alert: in a row, or at all.
#: Of a class of 60 some blink too late, but hardly three in a row.
SPOOFS_IN_A_ROW, SPOOFS_AT_ALL = 3, 8
SPOOF_WINDOW = timedelta(minutes=10)
#: Further faces are in the attempts only: nobody looks at more, and each costs a search.
MOST_PER_SESSION = 50
#: A worker that is busy for longer leaves the alert without a picture.
PICTURE_WAIT_S = 5.0
#: A mail that need not wait goes once the picture is there; after this, without.
PICTURE_GRACE = timedelta(seconds=10)

ACCEPTED = (Outcome.PRESENT, Outcome.LATE, Outcome.ALREADY, Outcome.CHECKED_OUT)


class AlertDecidedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


# What kiosks note


def note_stranger(
    *,
    kiosk: Kiosk,
    session: ClassSession,
    attempt: CheckinAttempt,
    embedding: Embedding,
    picture: bytes,
    at: datetime,
) -> Alert | None:
    """A live face that is nobody of the class: one alert for each person and session.

    Args:
        embedding: the fused probe, ``(d,)`` float32 of unit length.
        picture: the last frame as the camera sent it.

    Returns:
        The alert, old or new; None where the face is a known guest's or was recorded in this
        session, where it was ignored before, or where the session has too many alerts.
    """
    thresholds = AlertThresholds()
    model_id, similarity = attempt.model_id, thresholds.same_face_similarity
    if nearest(embedding, _guests(session, model_id, at), similarity=similarity) is not None:
        return None
    if was_recorded(session, kiosk, embedding, model_id=model_id):
        return None
    with transaction.atomic():
        locked(session)
        alert = _stranger_like(session, embedding, model_id, similarity)
        if alert is None:
            alert = _new(Kind.STRANGER, kiosk, session, at, model_id=model_id)
            if alert is None:
                return None
            alert.seal_embedding(embedding)
        else:
            _seen_again(alert, at, embedding)
        if not _is_near_miss(attempt, thresholds):
            _put_off_mail(alert, at)
        _save(alert, at)
    if alert.decision != Decision.OPEN:
        return None
    return _with_picture(alert, picture, embedding)


def note_spoof(
    *, kiosk: Kiosk, session: ClassSession, attempt: CheckinAttempt, picture: bytes, at: datetime
) -> Alert | None:
    """A refusal of liveness: one alert for each kiosk and session, once they are repeated.

    Returns:
        The alert, which later refusals are only counted on; None before there is one.
    """
    with transaction.atomic():
        locked(session)
        spoofs = Alert.objects.select_for_update().filter(session=session, kind=Kind.SPOOF)
        alert = spoofs.filter(kiosk=kiosk).first()
        if alert is not None:
            _seen_again(alert, at)
        else:
            refusals = _repeated_spoofs(kiosk, at)
            if not refusals:
                return None
            alert = _new(Kind.SPOOF, kiosk, session, at)
            if alert is None:
                return None
            alert.times, alert.due_at = refusals, at + PICTURE_GRACE
        _save(alert, at)
    return _due_now(_with_picture(alert, picture), at)


def note_denied(
    *,
    kiosk: Kiosk,
    session: ClassSession,
    attempt: CheckinAttempt,
    student: Student | None,
    picture: bytes,
    at: datetime,
) -> Alert | None:
    """Too many wrong passes: one open alert for each kiosk, session and student.

    Args:
        student: whose face was recognised before; None where a pass alone was shown.
    """
    with transaction.atomic():
        locked(session)
        denied = Alert.objects.select_for_update().filter(
            session=session, kind=Kind.DENIED, decision=Decision.OPEN
        )
        alert = denied.filter(kiosk=kiosk, student=student).first()
        if alert is not None:
            _seen_again(alert, at)
        else:
            alert = _new(Kind.DENIED, kiosk, session, at, student=student)
            if alert is None:
                return None
            alert.due_at = at + PICTURE_GRACE
        _save(alert, at)
    return _due_now(_with_picture(alert, picture), at)


def was_recorded(
    session: ClassSession, kiosk: Kiosk | None, embedding: Embedding, *, model_id: str
) -> bool:
    """Whether this face was let in: it is compared with those that were.

    These are the faces of the session, and of the others that the kiosk served meanwhile.
    """
    let_in = Q(attempt__session=session)
    if kiosk is not None:
        let_in |= Q(attempt__kiosk=kiosk, attempt__at__gte=session.opens_at)
    probes = KeptProbe.objects.filter(let_in, attempt__disowning=None, model_id=model_id)
    faces = {}
    for probe in probes.select_related("template"):
        try:
            faces[probe.pk] = probe.vector()
        except TemplateUnreadableError as error:
            logger.error("probe %s cannot be compared: %s", probe.pk, error)
    return nearest(embedding, faces, similarity=AlertThresholds().same_face_similarity) is not None


def _new(
    kind: Alert.Kind,
    kiosk: Kiosk,
    session: ClassSession,
    at: datetime,
    *,
    student: Student | None = None,
    model_id: str = "",
) -> Alert | None:
    if Alert.objects.filter(session=session).count() >= MOST_PER_SESSION:
        logger.warning("session %s has %s alerts: no more", session.pk, MOST_PER_SESSION)
        return None
    return Alert(
        kind=kind,
        kiosk=kiosk,
        session=session,
        student=student,
        model_id=model_id,
        first_at=at,
        last_at=at,
    )


def _save(alert: Alert, at: datetime) -> None:
    is_new = alert.pk is None
    alert.save()
    if is_new:
        alert_raised(alert, at=at)
    announce_after_commit(alert.session_id)


def _seen_again(alert: Alert, at: datetime, embedding: Embedding | None = None) -> None:
    if embedding is not None:
        alert.seal_embedding(joined(alert.embedding(), embedding, seen=alert.times))
    alert.times += 1
    alert.last_at = max(alert.last_at, at)


def _guests(session: ClassSession, model_id: str, at: datetime) -> dict[int, Embedding]:
    """The faces that a lecturer of this course knows, until their alerts expire."""
    since = at - timedelta(days=settings.ALERT_RETENTION_DAYS)
    guests = Alert.objects.filter(
        session__course=session.course_id, decision=Decision.GUEST, last_at__gte=since
    )
    return _faces(guests, model_id)


def _stranger_like(
    session: ClassSession, embedding: Embedding, model_id: str, similarity: float
) -> Alert | None:
    # Locked, so that nobody decides on one between here and the caller's save.
    strangers = Alert.objects.select_for_update().filter(
        session=session, kind=Kind.STRANGER, decision__in=[Decision.OPEN, Decision.IGNORED]
    )
    key = nearest(embedding, _faces(strangers, model_id), similarity=similarity)
    return None if key is None else Alert.objects.get(pk=key)


def _faces(alerts: QuerySet[Alert], model_id: str) -> dict[int, Embedding]:
    faces = {}
    for alert in alerts.filter(model_id=model_id).exclude(sealed_embedding=b""):
        try:
            faces[alert.pk] = alert.embedding()
        except TemplateUnreadableError as error:
            logger.error("alert %s cannot be compared: %s", alert.pk, error)
    return faces


def _is_near_miss(attempt: CheckinAttempt, thresholds: AlertThresholds) -> bool:
    """Whether it is most probably somebody of the class, in bad light or from the side."""
    if attempt.similarity is None or attempt.threshold is None:
        return False
    return attempt.similarity >= attempt.threshold - thresholds.near_miss


def _put_off_mail(alert: Alert, at: datetime) -> None:
    told = alert.mailed_at is not None or alert.held_back
    if alert.decision == Decision.OPEN and not told:
        alert.due_at = min(at + QUIET, alert.first_at + LONGEST_WAIT)


def _due_now(alert: Alert, at: datetime) -> Alert:
    Alert.objects.filter(pk=alert.pk, decision=Decision.OPEN, due_at__gt=at).update(due_at=at)
    return alert


def _repeated_spoofs(kiosk: Kiosk, at: datetime) -> int:
    """How many refusals make an alert now; zero if none does."""
    outcomes = list(
        CheckinAttempt.objects.filter(
            kiosk=kiosk,
            outcome__in=[Outcome.SPOOF, *ACCEPTED],
            at__gt=at - SPOOF_WINDOW,
            at__lte=at,
        )
        .order_by("-at", "-pk")
        .values_list("outcome", flat=True)
    )
    in_a_row = next(
        (count for count, outcome in enumerate(outcomes) if outcome != Outcome.SPOOF),
        len(outcomes),
    )
    at_all = outcomes.count(Outcome.SPOOF)
    if at_all >= SPOOFS_AT_ALL:
        return at_all
    return in_a_row if in_a_row >= SPOOFS_IN_A_ROW else 0


def _with_picture(alert: Alert, frame: bytes, embedding: Embedding | None = None) -> Alert:
    """Give an open alert the picture that it lacks. The frame is opened by a worker only."""
    if alert.decision != Decision.OPEN or alert.sealed_picture:
        return alert
    portrait = _portrait(frame, embedding)
    if portrait:
        alert.seal_picture(portrait)
        # Whoever was faster, with a picture or a decision, is not overwritten.
        Alert.objects.filter(pk=alert.pk, decision=Decision.OPEN, sealed_picture=b"").update(
            sealed_picture=alert.sealed_picture
        )
    return alert


def _portrait(frame: bytes, embedding: Embedding | None) -> bytes:
    """Head and shoulders of who stood before the camera; empty where that is not to be had."""
    work = worker_pool().analyse_portrait(frame, embed=embedding is not None)
    try:
        made = work.result(timeout=PICTURE_WAIT_S)
    except (EngineError, WorkerLostError, TimeoutError) as error:
        logger.warning("an alert has no picture: %s", type(error).__name__)
        return b""
    face = made.analysis.main_face
    if embedding is not None and face is not None and face.embedding is not None:
        likeness = float(face.embedding @ embedding)
        if likeness < AlertThresholds().same_face_similarity:
            # Somebody else had come before the camera: they did nothing to be shown.
            return b""
    return made.portrait_jpeg or b""


# What lecturers decide


@transaction.atomic
def identify(*, alert: Alert, student: Student, by: User, at: datetime) -> Alert:
    """Say who it is. The picture and the embedding go; the student is asked to register again.

    Attendance is not touched: who came late enough to be taken for a stranger is marked by hand.

    Raises:
        AlertDecidedError: it is not open, not theirs, or the student is not of this class.
    """
    alert = _open_alert(alert, by)
    if not students_in(alert.session).filter(pk=student.pk).exists():
        raise AlertDecidedError(
            _("%(student)s is not on the class list of this session. Add them to the course first.")
            % {"student": student}
        )
    alert.student = student
    _decide(alert, Decision.IDENTIFIED, by, at)
    if alert.kind == Kind.STRANGER:
        _tell_who_was_identified(alert, student)
    return alert


def _tell_who_was_identified(alert: Alert, student: Student) -> None:
    session = alert.session
    with in_language_of(student.user):
        send_notice(
            to=address_of(student),
            subject=_("You were not recognised in %(course)s") % {"course": session.course.code},
            template="alert_identified",
            context={"alert": alert, "student": student, "at": session.clock(alert.last_at)},
        )


@transaction.atomic
def welcome_guest(*, alert: Alert, by: User, at: datetime) -> Alert:
    """A known guest: no alert of this face in the course until this one expires.

    Raises:
        AlertDecidedError: it is not open, not theirs, or there is no face to know again.
    """
    alert = _open_alert(alert, by)
    if alert.kind != Kind.STRANGER or not alert.sealed_embedding:
        raise AlertDecidedError(_("Only a stranger whose face was seen can be a known guest."))
    return _decide(alert, Decision.GUEST, by, at)


@transaction.atomic
def ignore(*, alert: Alert, by: User, at: datetime) -> Alert:
    """Nothing is to be done. The same face raises no other alert in this session.

    Raises:
        AlertDecidedError: it is not open, or not theirs.
    """
    return _decide(_open_alert(alert, by), Decision.IGNORED, by, at)


def ignore_open(*, alerts: Iterable[Alert], by: User, at: datetime) -> list[Alert]:
    """Ignore those that nobody decided meanwhile, and return them."""
    ignored = []
    for alert in alerts:
        try:
            ignored.append(ignore(alert=alert, by=by, at=at))
        except AlertDecidedError as error:
            logger.info("alert %s was not ignored: %s", alert.pk, type(error).__name__)
    return ignored


def forget_faces(at: datetime) -> int:
    """Drop what no longer serves before an alert expires; returns of how many alerts that was.

    The faces of ignored strangers go when their session is over; the picture of a student who
    was denied goes with the consent.
    """
    over = Q(session__closed_at__isnull=False) | Q(session__ends_at__lte=at) & (
        Q(session__reopened_until=None) | Q(session__reopened_until__lte=at)
    )
    ignored = Alert.objects.filter(over, decision=Decision.IGNORED).exclude(sealed_embedding=b"")
    consents = Consent.objects.filter(student=OuterRef("student"), withdrawn_at=None)
    withdrawn = Alert.objects.filter(~Exists(consents), student__isnull=False)
    return ignored.update(sealed_embedding=b"") + withdrawn.exclude(sealed_picture=b"").update(
        sealed_picture=b""
    )


def alerts_before(moment: datetime) -> QuerySet[Alert]:
    """Alerts that are past their time, decided or not."""
    return Alert.objects.filter(last_at__lt=moment)


def alerts_of(user: User) -> QuerySet[Alert]:
    """The alerts that this user may see."""
    if not user.has_perm("checkin.view_alert"):
        return Alert.objects.none()
    return Alert.objects.filter(session__course__in=courses_of(user))


def open_alerts(user: User) -> QuerySet[Alert]:
    """Those of them that wait for a decision."""
    return alerts_of(user).filter(decision=Decision.OPEN)


def _open_alert(alert: Alert, by: User) -> Alert:
    alerts = Alert.objects.select_for_update(of=("self",)).select_related("session__course")
    found = alerts.filter(pk=alert.pk, session__course__in=courses_of(by)).first()
    if found is None or not by.has_perm("checkin.change_alert"):
        raise AlertDecidedError(_("This alert is not yours to decide on, or has expired."))
    if found.decision != Decision.OPEN:
        raise AlertDecidedError(
            _("Somebody was faster: this alert is “%(decision)s” by now.")
            % {"decision": found.get_decision_display()}
        )
    return found


def _decide(alert: Alert, decision: Alert.Decision, by: User | None, at: datetime) -> Alert:
    alert.decision, alert.decided_by, alert.decided_at = decision, by, at
    alert.sealed_picture, alert.due_at = b"", None
    if decision not in (Decision.GUEST, Decision.IGNORED):
        alert.sealed_embedding = b""
    alert.save()
    announce_after_commit(alert.session_id)
    return alert


def let_in_after_all(alert: Alert, at: datetime) -> Alert:
    """The face was recorded since, so it is no stranger's; for the caller's transaction."""
    return _decide(alert, Decision.LET_IN, None, at)
