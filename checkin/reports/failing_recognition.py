"""Students whom the kiosk fails to recognise, and the mail that asks them to register again.

A refusal names nobody, by design: who was refused cannot be counted. What can be counted is who
comes although not by face where others do, whose face was taken for that of another, and whose
similarity hardly reaches the threshold. Only what happened under the template in force counts, so
that whoever registers again starts anew.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.language import in_language_of
from accounts.mail import send_notice
from accounts.models import User
from checkin.appeals.models import Appeal
from checkin.models import Attendance, AttendanceChange, CheckinAttempt, Outcome
from checkin.notices.models import RecognitionInvitation
from recognition.models import FaceRegistration, FaceTemplate
from recognition.selectors import templates_in_force
from roster.models import ClassSession, Course, CourseEnrolment, Student
from roster.selectors import address_of

logger = logging.getLogger(__name__)

Status, Method = Attendance.Status, Attendance.Method

CAME = (Status.PRESENT, Status.LATE)
BY_FACE = (Method.FACE, Method.FACE_AND_PASS)
#: A class photo is neither: the lecturer took it of all.
INSTEAD_OF_FACE = (Method.PASS, Method.MANUAL)
ACCEPTED = (Outcome.PRESENT, Outcome.LATE, Outcome.ALREADY, Outcome.CHECKED_OUT)

INVITED_AGAIN_AFTER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class FailingThresholds:
    """From when on recognition counts as failing for a student."""

    #: Older sessions say little on how the student looks now.
    weeks: int = 6
    #: So many times somebody must have come before it is said that the face does not help.
    min_came: int = 4
    #: This share of them, in per cent, without the face. Half: forgetting once proves nothing.
    without_face_percent: int = 50
    #: So many sessions in which the face was taken for somebody else's. Each is one too many, but
    #: one may be a slip of whoever corrected it.
    min_mistaken: int = 2
    #: Accepted with a similarity so little above the threshold. Measured on LFW with the default
    #: model, 3 pictures enrolled: at N=30, 5 % of the accepted pictures are within it. People of
    #: whose accepted pictures half are within it were 3 % of all (1 % at N=10, 7 % at N=100), and
    #: 14 % of their other pictures were refused, 5 % of everybody else's (N=10: 13 to 3 %; N=100:
    #: 23 to 8 %). See docs/notices.md.
    barely_above: float = 0.005
    min_accepted: int = 4
    barely_percent: int = 50


THRESHOLDS = FailingThresholds()


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one student's recognition, within the weeks looked at."""

    came: int = 0
    without_face: int = 0
    mistaken: int = 0
    accepted: int = 0
    barely: int = 0

    def reasons(self, limits: FailingThresholds = THRESHOLDS) -> list[str]:
        """Why recognition counts as failing, in words; empty where it does not.

        >>> Figures(came=4, without_face=1).reasons()
        []
        """
        return [
            text
            for holds, text in (
                (self._comes_without_face(limits), self._without_face_in_words()),
                (self.mistaken >= limits.min_mistaken, self._mistaken_in_words()),
                (self._barely_known(limits), self._barely_in_words()),
            )
            if holds
        ]

    def _comes_without_face(self, limits: FailingThresholds) -> bool:
        return (
            self.came >= limits.min_came
            and 100 * self.without_face >= limits.without_face_percent * self.came
        )

    def _barely_known(self, limits: FailingThresholds) -> bool:
        return (
            self.accepted >= limits.min_accepted
            and 100 * self.barely >= limits.barely_percent * self.accepted
        )

    def _without_face_in_words(self) -> str:
        return _(
            "Came %(without)d of %(came)d times without the face, where others came by face."
        ) % {
            "without": self.without_face,
            "came": self.came,
        }

    def _mistaken_in_words(self) -> str:
        text = ngettext(
            "Recognised in %(count)d session although it was somebody else.",
            "Recognised in %(count)d sessions although it was somebody else.",
            self.mistaken,
        )
        return text % {"count": self.mistaken}

    def _barely_in_words(self) -> str:
        return _("Recognised %(barely)d of %(accepted)d times only by a hair.") % {
            "barely": self.barely,
            "accepted": self.accepted,
        }


@dataclass(frozen=True, slots=True)
class Failing:
    """A student whose recognition fails, with the figures behind it.

    ``waits``: new pictures wait for approval already.
    """

    student: Student
    figures: Figures
    invited_at: datetime | None
    waits: bool
    courses: list[Course] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        return self.figures.reasons()

    @property
    def has_address(self) -> bool:
        return bool(address_of(self.student))

    @property
    def can_be_invited(self) -> bool:
        return self.has_address and self.invited_at is None and not self.waits


def failing_recognition(courses: QuerySet[Course], *, model_id: str, at: datetime) -> list[Failing]:
    """Students of today's lists of these courses whose recognition fails, by name.

    Only sessions of these courses count. Listed is only who can be recognised at all: with consent
    and a template of this model in force.
    """
    own = Course.objects.filter(pk__in=courses.order_by().values("pk"))
    figures = {
        student_pk: one
        for student_pk, one in _figures(own, model_id=model_id, at=at).items()
        if one.reasons()
    }
    listed = _on_lists_today(own, figures, at)
    invited = _invited_at(figures, at)
    pending = FaceRegistration.objects.filter(
        student=OuterRef("pk"), status=FaceRegistration.Status.PENDING
    )
    students = Student.objects.select_related("user").filter(pk__in=listed)
    return [
        Failing(
            student=student,
            figures=figures[student.pk],
            invited_at=invited.get(student.pk),
            waits=student.waits,
            courses=listed[student.pk],
        )
        for student in sorted(
            students.annotate(waits=Exists(pending)),
            key=lambda one: (one.name.casefold(), one.student_id),
        )
    ]


@transaction.atomic
def invite_to_register_again(
    courses: QuerySet[Course], *, chosen: Collection[str], model_id: str, user: User
) -> int:
    """Mail those of the chosen whose recognition fails; returns how many mails that were.

    ``chosen`` are primary keys of students, as text. Nobody gets a second mail within a week.
    """
    at = timezone.now()
    wanted = {
        one.student.pk: one
        for one in failing_recognition(courses, model_id=model_id, at=at)
        if str(one.student.pk) in chosen and one.can_be_invited
    }
    # Two lecturers of a student wait for each other, and the second finds what the first sent.
    list(Student.objects.filter(pk__in=wanted).order_by("pk").select_for_update())
    invited = _invited_at(wanted, at)
    due = [one for pk, one in wanted.items() if pk not in invited]
    RecognitionInvitation.objects.bulk_create(_invitation(one, user, at) for one in due)
    _mail(due)
    logger.info("user %s invited %s students to register again", user.pk, len(due))
    return len(due)


def _invitation(failing: Failing, user: User, at: datetime) -> RecognitionInvitation:
    figures = failing.figures
    return RecognitionInvitation(
        student=failing.student,
        came=figures.came,
        without_face=figures.without_face,
        mistaken=figures.mistaken,
        accepted=figures.accepted,
        barely=figures.barely,
        sent_at=at,
        sent_by=user,
    )


def _mail(due: Iterable[Failing]) -> None:
    for failing in due:
        with in_language_of(failing.student.user):
            send_notice(
                to=address_of(failing.student),
                subject=_("Please register your face again"),
                template="recognition_fails",
                context={"student": failing.student, "reasons": failing.reasons},
            )


# The figures


def _figures(courses: QuerySet[Course], *, model_id: str, at: datetime) -> Mapping[int, Figures]:
    """By the student's primary key; one query for each kind of figure."""
    since = at - timedelta(weeks=THRESHOLDS.weeks)
    sessions = ClassSession.objects.filter(course__in=courses, starts_at__range=(since, at))
    counted: dict[int, dict[str, int]] = defaultdict(dict)
    for student_pk, came, without_face in _arrivals(sessions, model_id):
        counted[student_pk] |= {"came": came, "without_face": without_face}
    for student_pk, accepted, barely in _attempts(sessions, model_id):
        counted[student_pk] |= {"accepted": accepted, "barely": barely}
    for student_pk, mistaken in _mistaken(sessions, model_id).items():
        counted[student_pk]["mistaken"] = mistaken
    return {student_pk: Figures(**row) for student_pk, row in counted.items()}


def _under_template_in_force(moment: str, model_id: str) -> Q:
    """Rows whose moment is after that of the student's template in force."""
    in_force: QuerySet[FaceTemplate] = templates_in_force(model_id=model_id).filter(
        student=OuterRef("student"), created_at__lte=OuterRef(moment)
    )
    return Q(Exists(in_force))


def _arrivals(sessions: QuerySet[ClassSession], model_id: str) -> Iterable[tuple[int, int, int]]:
    """How often a student came, in sessions to which somebody came by face."""
    by_face = Attendance.objects.filter(session=OuterRef("pk"), method__in=BY_FACE)
    with_kiosk = sessions.filter(Exists(by_face)).order_by()
    came = Attendance.objects.filter(
        _under_template_in_force("arrived_at", model_id),
        session__in=with_kiosk.values("pk"),
        status__in=CAME,
        method__in=[*BY_FACE, *INSTEAD_OF_FACE],
    )
    return (
        came.order_by()
        .values_list("student__pk")
        .annotate(
            came=Count("pk"),
            without_face=Count("pk", filter=Q(method__in=INSTEAD_OF_FACE)),
        )
    )


def _attempts(sessions: QuerySet[ClassSession], model_id: str) -> Iterable[tuple[int, int, int]]:
    """How often a student was accepted by face, and how often barely."""
    accepted = CheckinAttempt.objects.filter(
        _under_template_in_force("at", model_id),
        session__in=sessions.order_by().values("pk"),
        outcome__in=ACCEPTED,
        model_id=model_id,
        similarity__isnull=False,
        threshold__isnull=False,
    )
    lead = F("threshold") + THRESHOLDS.barely_above
    return (
        accepted.order_by()
        .values_list("student__pk")
        .annotate(accepted=Count("pk"), barely=Count("pk", filter=Q(similarity__lt=lead)))
    )


def _mistaken(sessions: QuerySet[ClassSession], model_id: str) -> dict[int, int]:
    """In how many sessions somebody said that it was not this student.

    “Not me”, unless the appeal was refused, or a lecturer who took back an arrival by face; both of
    one session are one.
    """
    rows = sessions.order_by().values("pk")
    disowned = CheckinAttempt.objects.filter(
        _under_template_in_force("at", model_id), session__in=rows, disowning__isnull=False
    ).exclude(disowning__appeal__status=Appeal.Status.REFUSED)
    taken_back = AttendanceChange.objects.filter(
        _under_template_in_force("at", model_id),
        Q(after__isnull=True) | Q(after__status__in=[Status.ABSENT, Status.EXCUSED]),
        session__in=rows,
        before__method__in=BY_FACE,
        before__status__in=CAME,
        undoes=None,
        undone_by=None,
    )
    pairs = {
        *disowned.order_by().values_list("student__pk", "session__pk"),
        *taken_back.order_by().values_list("student__pk", "session__pk"),
    }
    return Counter(student_pk for student_pk, _session_pk in pairs)


def _on_lists_today(
    courses: QuerySet[Course], students: Iterable[int], at: datetime
) -> dict[int, list[Course]]:
    today = timezone.localdate(at)
    listed = CourseEnrolment.objects.filter(
        Q(left_on=None) | Q(left_on__gt=today), course__in=courses, student__in=list(students)
    )
    found: dict[int, list[Course]] = {}
    for enrolment in listed.select_related("course").order_by("course__code"):
        found.setdefault(enrolment.student_id, []).append(enrolment.course)
    return found


def _invited_at(students: Iterable[int], at: datetime) -> dict[int, datetime]:
    """The last mail of this week by student."""
    sent = RecognitionInvitation.objects.filter(
        student__in=list(students), sent_at__gt=at - INVITED_AGAIN_AFTER
    )
    return dict(sent.order_by("sent_at").values_list("student__pk", "sent_at"))
