"""What is sent and answered. Rules are in services; these only say the form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from checkin.models import Attendance
from checkin.reports.forms import EARLIEST, LATEST
from checkin.reports.rates import Term
from integrations.api.pagination import CURSOR_PATTERN, DEFAULT_LIMIT, MAX_LIMIT
from integrations.api.problems import Problem
from recognition.models import FaceRegistration
from roster.models import ClassSession, EntryPolicy

MAX_ID = 2**63 - 1
MAX_ROWS = 5000
MAX_REPORT_DAYS = 400


class Strict(serializers.Serializer):
    """Refuses what it does not know: a field with a slip in its name would be lost silently."""

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            text = _("There is no such field. Known are: %(known)s.") % {
                "known": ", ".join(self.fields) or "–"
            }
            raise serializers.ValidationError(
                {name: [serializers.ErrorDetail(text, code="unknown")] for name in unknown}
            )
        return values


class IdField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)


class TextField(serializers.CharField):
    """Text and nothing that could be turned into it: a number loses its leading zeros."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class EmailField(serializers.EmailField, TextField):
    pass


class FlagField(serializers.BooleanField):
    """`true` or `false`, and no word for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({"type": "string", "pattern": r"^\S([^\u0000-\u001f]*\S)?$"})
class WordsField(TextField):
    """Text that is more than blanks."""


# Addresses


class AskedField(serializers.CharField):
    """A text that a row must have exactly so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, trim_whitespace=False, **kwargs)


class Query(Strict):
    """What an address may be asked; nothing unless a view says more."""


class PageQuery(Query):
    cursor = serializers.RegexField(
        CURSOR_PATTERN,
        required=False,
        error_messages={
            "invalid": gettext_lazy("Take “next” or “next_cursor” of the page before, unchanged.")
        },
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT
    )


class StudentQuery(PageQuery):
    student_id = AskedField(max_length=64)
    email = AskedField(max_length=254)
    course = IdField(required=False)


class CourseQuery(PageQuery):
    code = AskedField(max_length=32)


class ClassListQuery(PageQuery):
    on = serializers.DateField(required=False, help_text="Who is on the list on this day.")


class PeriodQuery(PageQuery):
    """Days as the clocks of each course tell them, both within."""

    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)
    day = serializers.DateField(required=False, help_text="The same day as since and until.")


class SessionQuery(PeriodQuery):
    course = IdField(required=False)
    room = IdField(required=False)


class AttendanceQuery(PeriodQuery):
    session = IdField(required=False)
    course = IdField(required=False)
    student = IdField(required=False)
    student_id = AskedField(max_length=64)
    status = serializers.ChoiceField(choices=Attendance.Status.choices, required=False)


class RegistrationQuery(PageQuery):
    status = serializers.ChoiceField(
        choices=[
            choice
            for choice in FaceRegistration.Status.choices
            if choice[0] != FaceRegistration.Status.DRAFT
        ],
        required=False,
    )
    student = IdField(required=False)


class ReportQuery(Query):
    """Days as the clocks of each course tell them, both within; at most 400 of them."""

    since = serializers.DateField(
        required=False, help_text="Without it, a year before the last day."
    )
    until = serializers.DateField(required=False, help_text="Without it, today.")


def term_of(asked: Mapping[str, Any]) -> Term:
    """The days of a `PeriodQuery`.

    Raises:
        Problem: a day that no calendar of ours has, or the last one before the first.
    """
    day = asked.get("day")
    since, until = asked.get("since", day), asked.get("until", day)
    for bound in (since, until):
        if bound and not EARLIEST <= bound <= LATEST:
            raise Problem(
                "out_of_range",
                _("%(day)s is too far away. Ask for days from %(first)s to %(last)s.")
                % {"day": bound, "first": EARLIEST, "last": LATEST},
            )
    if since and until and until < since:
        raise Problem(
            "out_of_range",
            _("“until” (%(until)s) lies before “since” (%(since)s). Change one of them.")
            % {"since": since, "until": until},
        )
    return Term(since=since, until=until)


def report_term_of(asked: Mapping[str, Any]) -> Term:
    """The days of a `ReportQuery`.

    Raises:
        Problem: as above, or they are too many.
    """
    until: date = asked.get("until") or timezone.localdate()
    since: date = asked.get("since") or _a_year_before(until)
    term = term_of({"since": since, "until": until})
    if (until - since).days >= MAX_REPORT_DAYS:
        raise Problem(
            "out_of_range",
            _("A report covers at most %(most)d days, these are %(days)d. Ask for each year alone.")
            % {"most": MAX_REPORT_DAYS, "days": (until - since).days + 1},
        )
    return term


def _a_year_before(day: date) -> date:
    return date.fromordinal(max(day.toordinal() - 364, 1))


# Answers


class StudentOut(serializers.Serializer):
    id = serializers.IntegerField()
    student_id = serializers.CharField(help_text="The number that the institution gave.")
    name = serializers.CharField()
    email = serializers.CharField()


class StudentRef(serializers.Serializer):
    id = serializers.IntegerField()
    student_id = serializers.CharField()
    name = serializers.CharField()


class CourseRef(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()


class RoomOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


class CourseOut(serializers.Serializer):
    id = serializers.IntegerField()
    code = serializers.CharField()
    title = serializers.CharField()
    timezone = serializers.CharField()
    entry_policy = serializers.ChoiceField(choices=EntryPolicy.choices)
    required_percentage = serializers.IntegerField(allow_null=True)
    lecturers = serializers.SerializerMethodField(help_text="Their usernames.")

    def get_lecturers(self, course: Any) -> list[str]:
        return [lecturer.username for lecturer in course.lecturers.all()]


class ClassListOut(serializers.Serializer):
    id = serializers.IntegerField()
    student = StudentOut()
    joined_on = serializers.DateField()
    left_on = serializers.DateField(allow_null=True, help_text="The first day without them.")


class SessionOut(serializers.Serializer):
    id = serializers.IntegerField()
    course = CourseRef()
    room = RoomOut(allow_null=True)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    opens_at = serializers.DateTimeField()
    late_from = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    state = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=ClassSession.State.choices))
    def get_state(self, session: ClassSession) -> str:
        return session.state(self.context["at"])


class SessionRef(serializers.Serializer):
    id = serializers.IntegerField()
    course = CourseRef()
    starts_at = serializers.DateTimeField()


class AttendanceOut(serializers.Serializer):
    id = serializers.IntegerField()
    session = SessionRef()
    student = StudentRef()
    status = serializers.ChoiceField(choices=Attendance.Status.choices)
    method = serializers.ChoiceField(choices=Attendance.Method.choices)
    reason = serializers.ChoiceField(choices=Attendance.Reason.choices, allow_blank=True)
    arrived_at = serializers.DateTimeField(allow_null=True)
    left_at = serializers.DateTimeField(allow_null=True)
    minutes_late = serializers.IntegerField()
    minutes_attended = serializers.IntegerField(allow_null=True)


class RecordOut(serializers.Serializer):
    """What stands of one student in one session; without a status nothing was recorded."""

    session = SessionRef()
    student = StudentRef()
    status = serializers.ChoiceField(choices=Attendance.Status.choices, allow_null=True)
    method = serializers.ChoiceField(choices=Attendance.Method.choices, allow_null=True)
    arrived_at = serializers.DateTimeField(allow_null=True)
    left_at = serializers.DateTimeField(allow_null=True)


class RegistrationOut(serializers.Serializer):
    id = serializers.IntegerField()
    student = StudentRef()
    status = serializers.ChoiceField(choices=FaceRegistration.Status.choices)
    origin = serializers.ChoiceField(choices=FaceRegistration.Origin.choices)
    is_double = serializers.BooleanField(
        help_text="The face is like another account's: somebody has to look at it at the desk."
    )
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)


class KioskOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    room = RoomOut(allow_null=True)
    courses = CourseRef(many=True)
    has_token = serializers.BooleanField()
    is_online = serializers.BooleanField(help_text="It was seen within the last five minutes.")
    last_seen_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class RateOut(serializers.Serializer):
    present = serializers.IntegerField()
    late = serializers.IntegerField()
    excused = serializers.IntegerField()
    absent = serializers.IntegerField()
    percentage = serializers.IntegerField(
        allow_null=True, help_text="Attended, of the sessions that count; rounded down."
    )


class ReportOut(serializers.Serializer):
    report = serializers.CharField()
    subject = serializers.CharField()
    since = serializers.DateField(allow_null=True)
    until = serializers.DateField(allow_null=True)
    rate = RateOut()
    sessions_not_closed = serializers.IntegerField(help_text="They are over and do not count.")
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(
        child=serializers.DictField(), help_text="One object for each line, by column."
    )


class MeOut(serializers.Serializer):
    username = serializers.CharField()
    client = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField())
    student = StudentRef(allow_null=True)


class RosterOut(serializers.Serializer):
    """How many rows did what."""

    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    ended = serializers.IntegerField()


def page_answer(row: type[serializers.Serializer]) -> type[serializers.Serializer]:
    """The form of a page of these rows."""
    return type(
        f"{row.__name__.removesuffix('Out')}Page",
        (serializers.Serializer,),
        {
            "results": row(many=True),
            "next": serializers.CharField(allow_null=True, help_text="The next page's address."),
            "next_cursor": serializers.CharField(allow_null=True),
        },
    )


# Bodies


class StudentChange(Strict):
    name = WordsField(required=False, max_length=200)
    email = EmailField(required=False, max_length=254, allow_blank=True)


class RosterRow(Strict):
    student_id = WordsField(max_length=64)
    name = WordsField(max_length=200)
    email = TextField(required=False, max_length=254, allow_blank=True, default="")


class RosterUpload(Strict):
    students = RosterRow(many=True, allow_empty=False, max_length=MAX_ROWS)  # type: ignore[call-arg]
    end_missing = FlagField(
        default=False, help_text="Who is not in the list leaves the course today."
    )


class MarkIn(Strict):
    status = serializers.ChoiceField(choices=Attendance.Status.choices)
    reason = TextField(
        required=False,
        max_length=300,
        allow_blank=True,
        default="",
        help_text="Needed where something stands there already, and for “excused”.",
    )


class DecisionIn(Strict):
    decision = serializers.ChoiceField(
        choices=[("approve", "approve"), ("reject", "reject")],
    )
    reason = TextField(
        required=False,
        max_length=300,
        allow_blank=True,
        default="",
        help_text="Needed to reject: the student has to know what to change.",
    )
