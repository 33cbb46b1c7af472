"""Events of the roster: students and class lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.events import Event, EventKind, Plain, event_kind, publish
from roster.models import Course, CourseEnrolment, Student

STUDENT_CREATED = event_kind(
    "student.created", label=_("Student added to the roster"), permission="roster.view_student"
)
STUDENT_CHANGED = event_kind(
    "student.changed", label=_("Student's roster entry changed"), permission="roster.view_student"
)
STUDENT_MERGED = event_kind(
    "student.merged", label=_("Two students' records merged"), permission="roster.view_student"
)
STUDENT_ERASED = event_kind(
    "student.erased", label=_("Student erased"), permission="roster.view_student"
)
ENROLMENT_STARTED = event_kind(
    "enrolment.started",
    label=_("Student joined a class list"),
    permission="roster.view_courseenrolment",
)
ENROLMENT_ENDED = event_kind(
    "enrolment.ended",
    label=_("Student left a class list"),
    permission="roster.view_courseenrolment",
)


def of_student(student: Student) -> dict[str, Plain]:
    """Which student it is, as every payload says it."""
    return {"student": student.pk, "student_id": student.student_id}


def of_course(course: Course) -> dict[str, Plain]:
    """Which course it is, as every payload says it."""
    return {"course": course.pk, "course_code": course.code}


def students_created(students: Iterable[Student], at: datetime) -> None:
    publish(
        Event(kind=STUDENT_CREATED, at=at, student=student.pk, payload=of_student(student))
        for student in students
    )


def students_changed(changed: Iterable[tuple[Student, list[str]]], at: datetime) -> None:
    """Students with the names of the fields that are different now: not what they hold."""
    publish(
        Event(
            kind=STUDENT_CHANGED,
            at=at,
            student=student.pk,
            payload={**of_student(student), "changed": fields},
        )
        for student, fields in changed
    )


def student_merged(*, keep: Student, other_pk: int, at: datetime) -> None:
    publish(
        [
            Event(
                kind=STUDENT_MERGED,
                at=at,
                student=keep.pk,
                payload={**of_student(keep), "merged_student": other_pk},
            )
        ]
    )


def student_erased(*, student_pk: int, courses: Iterable[int], at: datetime) -> None:
    """Whoever was told of the student can erase them too: once for each course that knew them.

    It belongs to no student, so that it outlives the erasure, and says the bare id only.
    """
    knew: list[int | None] = [*courses] or [None]
    publish(
        Event(
            kind=STUDENT_ERASED,
            at=at,
            course=course,
            payload={"student": student_pk, "course": course},
        )
        for course in knew
    )


def enrolments_started(enrolments: Iterable[CourseEnrolment], at: datetime) -> None:
    publish(_of_enrolment(ENROLMENT_STARTED, one, at) for one in enrolments)


def enrolments_ended(enrolments: Iterable[CourseEnrolment], at: datetime) -> None:
    publish(_of_enrolment(ENROLMENT_ENDED, one, at) for one in enrolments)


def _of_enrolment(kind: EventKind, enrolment: CourseEnrolment, at: datetime) -> Event:
    return Event(
        kind=kind,
        at=at,
        course=enrolment.course_id,
        student=enrolment.student_id,
        payload={
            **of_student(enrolment.student),
            **of_course(enrolment.course),
            "joined_on": enrolment.joined_on.isoformat(),
            "left_on": enrolment.left_on.isoformat() if enrolment.left_on else None,
        },
    )
