"""What is kept of one person. Every kind of row that says something about a student is listed.

The page of the own data, the erasure and the merging of two records all go by `KINDS`; a test
walks the models and fails where one is neither listed nor excepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from post_office.models import Email

from accounts.models import User
from checkin.alerts.models import Alert
from checkin.appeals.models import Appeal, Disowning, KeptProbe
from checkin.class_photo.models import ClassPhoto
from checkin.models import (
    Attendance,
    AttendanceChange,
    AttendanceWarning,
    CheckinAttempt,
    ReportColumns,
    ReportExport,
)
from checkin.notices.models import NoticeChoice, RecognitionInvitation
from checkin.passes.models import EntryPass, PassUse
from recognition.cohort.models import PhotoImportItem
from recognition.models import (
    Consent,
    FaceMistake,
    FaceRegistration,
    FaceTemplate,
    RegistrationPhoto,
    Resemblance,
)
from recognition.sealing import TemplateUnreadableError
from roster.models import Course, CourseEnrolment, RosterClaim, Student
from roster.selectors import address_of


@dataclass(frozen=True, slots=True)
class Person:
    """What finds the rows of a student, also after the student's own row has gone."""

    pk: int
    student_id: str
    name: str
    address: str
    addresses: tuple[str, ...]
    user_pk: int | None

    @classmethod
    def of(cls, student: Student) -> Person:
        account = EmailAddress.objects.filter(user=student.user_id).values_list("email", flat=True)
        addresses = {student.email, address_of(student), *account} - {""}
        return cls(
            pk=student.pk,
            student_id=student.student_id,
            name=student.name,
            address=address_of(student),
            addresses=tuple(sorted(addresses)),
            user_pk=student.user_id,
        )


#: What the person is given of a row, by the name of the column: an attribute, or a function.
Columns = Mapping[str, str | Callable[[Any], object]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of row, how a person's are found, and what the person is given of them.

    ``by_student`` and ``by_account`` are lookups from the model. What belongs ``to_account`` goes
    only together with the account. ``left_out`` says what is kept and not given, and why.
    """

    name: str
    label: str | Promise
    model: type[Model]
    columns: Columns
    by_student: tuple[str, ...] = ()
    by_account: tuple[str, ...] = ()
    also: Callable[[Person], Q] | None = None
    related: tuple[str, ...] = ()
    to_account: bool = False
    left_out: str | Promise = ""

    def rows(self, person: Person) -> QuerySet[Any]:
        """The rows of this kind that are kept of a person."""
        own = Q(pk__in=[])
        for lookup in self.by_student:
            own |= Q(**{lookup: person.pk})
        if person.user_pk is not None:
            for lookup in self.by_account:
                own |= Q(**{lookup: person.user_pk})
        if self.also is not None:
            own |= self.also(person)
        rows: QuerySet[Any] = self.model._default_manager.filter(own)
        return rows.select_related(*self.related) if self.related else rows

    def cells(self, row: Any) -> dict[str, object]:
        return {name: _cell(row, column) for name, column in self.columns.items()}


def _cell(row: Any, column: str | Callable[[Any], object]) -> object:
    if callable(column):
        return column(row)
    value = row
    for attribute in column.split("."):
        if value is None:
            return None  # of a kiosk or a session that is not there
        value = getattr(value, attribute)
    return value


def _by(field: str) -> Callable[[Any], object]:
    """Who did it, without names: members of staff are other people."""

    def who(row: Any) -> str | None:
        user_pk = getattr(row, f"{field}_id")
        if user_pk is None:
            return None
        return "you" if user_pk == row.student.user_id else "staff"

    return who


def _length_of_vector(template: FaceTemplate) -> int | None:
    try:
        return len(template.vector())
    except TemplateUnreadableError:
        return None


def _parts(kind: str) -> Callable[[FaceTemplate], int | None]:
    """How many embeddings a template is made of; None where nothing can be read."""

    def count(template: FaceTemplate) -> int | None:
        try:
            return len(getattr(template.parts(), kind)) if template.sealed_vector else None
        except TemplateUnreadableError:
            return None

    return count


def picture_file(photo: RegistrationPhoto | PhotoImportItem) -> str:
    """Its name beside the tables; empty where no picture is kept."""
    if not photo.sealed_picture:
        return ""
    if isinstance(photo, PhotoImportItem):
        return f"pictures/import-{photo.pk}{Path(photo.file_name).suffix.lower()}"
    return f"pictures/{photo.pk}.jpg"


def _mails(person: Person) -> Q:
    found = Q(pk__in=[])
    for address in person.addresses:
        found |= Q(to__iexact=address)
    return found


def _exports_with(person: Person) -> Q:
    """Files on a course that the person was in: they may name the person."""
    own = Course.objects.filter(
        Q(enrolments__student=person.pk) | Q(sessions__attendance__student=person.pk)
    )
    return Q(pk__in=ReportExport.objects.filter(courses__in=own.values("pk")).values("pk"))


def _class_photos_with(person: Person) -> Q:
    """Pictures of a class that the person is in: they may show the face."""
    courses = CourseEnrolment.objects.filter(student=person.pk).values("course")
    return Q(pk__in=ClassPhoto.objects.filter(session__course__in=courses).values("pk"))


def _history(person: Person) -> Q:
    """Entries on the student's rows, and those on rows long gone that give the number."""
    number = f"({person.student_id})"
    named = Q(object_repr__contains=number) | Q(change_message__contains=number)
    found = Q(pk__in=[])
    for kind in KINDS:
        if kind.by_student:
            found |= Q(content_type__in=content_types_of(kind.model)) & (
                Q(object_id__in=_ids_as_text(kind, person)) | named
            )
    return found


def _history_of_account(person: Person) -> Q:
    found = Q(pk__in=[])
    for kind in KINDS:
        if kind.to_account and kind.model is not LogEntry:
            found |= Q(
                content_type__in=content_types_of(kind.model),
                object_id__in=_ids_as_text(kind, person),
            )
    return found


def _ids_as_text(kind: Kind, person: Person) -> QuerySet[Any]:
    rows = kind.rows(person).order_by()
    return rows.annotate(as_text=Cast("pk", TextField())).values("as_text")


def content_types_of(model: type[Model]) -> list[ContentType]:
    """Of the model and its proxies, which have pages and a history of their own."""
    return [
        ContentType.objects.get_for_model(one, for_concrete_model=False)
        for one in apps.get_models()
        if one._meta.concrete_model is model
    ]


HISTORY_COLUMNS: Columns = {
    "at": "action_time",
    "on": "content_type.model",
    "what": lambda entry: entry.get_change_message(),
}

#: In the order in which they are shown; erased from the last to the first.
KINDS: list[Kind] = [
    Kind(
        "account",
        _("account"),
        User,
        {
            "username": "username",
            "first_name": "first_name",
            "last_name": "last_name",
            "email": "email",
            "language": "language",
            "signed_up_at": "date_joined",
            "last_login_at": "last_login",
        },
        by_account=("pk",),
        to_account=True,
        left_out=_(
            "The password is stored as a hash only, from which nobody can read it; the hash is "
            "left out so that nobody can try to guess it."
        ),
    ),
    Kind(
        "email_addresses",
        _("e-mail addresses of the account"),
        EmailAddress,
        {"email": "email", "confirmed": "verified", "primary": "primary"},
        by_account=("user",),
        to_account=True,
    ),
    Kind(
        "second_factors",
        _("second factors"),
        Authenticator,
        {"type": "type", "created_at": "created_at", "last_used_at": "last_used_at"},
        by_account=("user",),
        to_account=True,
        left_out=_("Secrets of authenticator apps and recovery codes are left out: they log in."),
    ),
    Kind(
        "connected_accounts",
        _("accounts of other sites"),
        SocialAccount,
        {
            "provider": "provider",
            "id_there": "uid",
            "connected_at": "date_joined",
            "last_login_at": "last_login",
            "told_by_provider": "extra_data",
        },
        by_account=("user",),
        to_account=True,
    ),
    Kind(
        "roster_entry",
        _("roster entry"),
        Student,
        {"student_number": "student_id", "name": "name", "email": "email"},
        by_student=("pk",),
    ),
    Kind(
        "course_enrolments",
        _("class lists"),
        CourseEnrolment,
        {
            "course": "course.code",
            "title": "course.title",
            "joined_on": "joined_on",
            "left_on": "left_on",
        },
        by_student=("student",),
        related=("course",),
    ),
    Kind(
        "claims",
        _("claims to a student number"),
        RosterClaim,
        {
            "by": lambda claim: (
                "you" if claim.user_id == claim.student.user_id else "other account"
            ),
            "status": "status",
            "made_at": "made_at",
            "decided_at": "decided_at",
        },
        by_student=("student",),
        by_account=("user",),
        related=("student",),
        left_out=_("Which other account claimed your number is that person's data."),
    ),
    Kind(
        "consents",
        _("consents"),
        Consent,
        {
            "policy_version": "policy_version",
            "given": "given_via",
            "given_at": "given_at",
            "recorded_by": _by("recorded_by"),
            "withdrawn_at": "withdrawn_at",
        },
        by_student=("student",),
        related=("student",),
    ),
    Kind(
        "face_registrations",
        _("face registrations"),
        FaceRegistration,
        {
            "status": "status",
            "sent_in": "origin",
            "sent_by": _by("created_by"),
            "agreement_of_pictures": "agreement",
            "created_at": "created_at",
            "submitted_at": "submitted_at",
            "decided_at": "decided_at",
            "decided_by": _by("decided_by"),
            "reason": "reason",
        },
        by_student=("student",),
        related=("student",),
    ),
    Kind(
        "pictures",
        _("pictures that wait for a decision"),
        RegistrationPhoto,
        {
            "file": picture_file,
            "registration_status": "registration.status",
            "face_height_px": "face_height_px",
            "sharpness": "sharpness",
            "brightness": "brightness",
            "model": "model_id",
        },
        by_student=("registration__student",),
        related=("registration",),
    ),
    Kind(
        "photo_imports",
        _("photos that were brought in"),
        PhotoImportItem,
        {
            "course": "photo_import.course.code",
            "imported_at": "photo_import.created_at",
            "name_of_file": "file_name",
            "file": picture_file,
            "state": "state",
            "verdict": "verdict",
        },
        by_student=("student",),
        related=("photo_import__course",),
    ),
    Kind(
        "face_templates",
        _("templates of the face"),
        FaceTemplate,
        {
            "model": "model_id",
            "numbers_in_vector": _length_of_vector,
            "made_by": "origin",
            "pictures_used": "photo_count",
            "pictures_kept_as_numbers": _parts("enrolment"),
            "check_ins_learned_from": _parts("learned"),
            "similarity_of_the_check_in": "similarity",
            "agreement_of_pictures": "agreement",
            "created_at": "created_at",
            "created_by": _by("created_by"),
            "revoked_at": "revoked_at",
        },
        by_student=("student",),
        related=("student",),
        left_out=_(
            "The numbers of a template are encrypted and left out: outside of this system they "
            "are of no use to you, but could help somebody who wants to be taken for you."
        ),
    ),
    Kind(
        "mistaken_faces",
        _("faces that were taken for yours"),
        FaceMistake,
        {"model": "model_id", "made_at": "made_at"},
        by_student=("template__student",),
        left_out=_("The numbers of these faces are left out: they are another person's."),
    ),
    Kind(
        "resemblances",
        _("notes on resemblances"),
        Resemblance,
        {"kind": "kind", "similarity": "similarity", "found_at": "found_at"},
        by_student=("student", "other"),
        left_out=_("Whom a face resembles is left out: it is the other person's data."),
    ),
    Kind(
        "attendance",
        _("attendance"),
        Attendance,
        {
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "session_ends_at": "session.ends_at",
            "status": "status",
            "method": "method",
            "arrived_at": "arrived_at",
            "left_at": "left_at",
            "kiosk": "kiosk.name",
        },
        by_student=("student",),
        related=("session__course", "kiosk"),
    ),
    Kind(
        "attendance_changes",
        _("changes of attendance by hand"),
        AttendanceChange,
        {
            "at": "at",
            "by": _by("by"),
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "before": lambda change: (change.before or {}).get("status"),
            "after": lambda change: (change.after or {}).get("status"),
            "reason": "reason",
        },
        by_student=("student",),
        related=("student", "session__course"),
    ),
    Kind(
        "check_in_attempts",
        _("check-in attempts"),
        CheckinAttempt,
        {
            "at": "at",
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "kiosk": "kiosk.name",
            "outcome": "outcome",
            "reason": "reason",
            "model": "model_id",
            "faces_searched": "gallery_size",
            "similarity": "similarity",
            "next_best_similarity": "runner_up",
            "threshold": "threshold",
            "liveness": "liveness",
        },
        by_student=("student",),
        related=("session__course", "kiosk"),
        left_out=_(
            "Attempts in which nobody was recognised name nobody and cannot be told to be yours."
        ),
    ),
    Kind(
        "kept_probes",
        _("faces of check-ins, while you may say “not me”"),
        KeptProbe,
        {"at": "attempt.at", "model": "model_id", "expires_at": "expires_at"},
        by_student=("attempt__student", "template__student"),
        related=("attempt",),
        left_out=_("The numbers of these faces are encrypted and left out, as of templates."),
    ),
    Kind(
        "appeals",
        _("appeals"),
        Appeal,
        {
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "kind": "kind",
            "text": "text",
            "status": "status",
            "opened_at": "opened_at",
            "decided_at": "decided_at",
            "decided_by": _by("decided_by"),
            "answer": "answer",
        },
        by_student=("student",),
        related=("student", "session__course"),
    ),
    Kind(
        "disownings",
        _("check-ins that were said not to be yours"),
        Disowning,
        {
            "course": "appeal.session.course.code",
            "session_starts_at": "appeal.session.starts_at",
            "at": "at",
            "at_kiosk": "at_kiosk",
        },
        by_student=("appeal__student",),
        related=("appeal__session__course",),
    ),
    Kind(
        "attendance_warnings",
        _("warnings of low attendance"),
        AttendanceWarning,
        {
            "course": "course.code",
            "attended": "attended",
            "sessions_counted": "counted",
            "required_percentage": "threshold",
            "sent_at": "sent_at",
        },
        by_student=("student",),
        related=("course",),
    ),
    Kind(
        "entry_passes",
        _("entry passes that were mailed"),
        EntryPass,
        {
            "issued_at": "issued_at",
            "issued_by": _by("issued_by"),
            "valid_until": "expires_at",
            "used_at": "used_at",
            "revoked_at": "revoked_at",
        },
        by_student=("student",),
        related=("student",),
        left_out=_("The code is stored as a hash only, and it opens doors: it is left out."),
    ),
    Kind(
        "pass_uses",
        _("uses of passes"),
        PassUse,
        {
            "at": "at",
            "kind": "kind",
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "kiosk": "kiosk.name",
        },
        by_student=("student",),
        related=("session__course", "kiosk"),
    ),
    Kind(
        "alerts",
        _("alerts at a kiosk"),
        Alert,
        {
            "kind": "kind",
            "course": "session.course.code",
            "session_starts_at": "session.starts_at",
            "kiosk": "kiosk.name",
            "first_at": "first_at",
            "last_at": "last_at",
            "times": "times",
            "decision": "decision",
            "decided_by": _by("decided_by"),
            "decided_at": "decided_at",
        },
        by_student=("student",),
        related=("student", "session__course", "kiosk"),
        left_out=_(
            "The picture of an alert that nobody decided yet is left out: it may show somebody "
            "else. It goes with the decision. Alerts that name nobody cannot be told to be yours."
        ),
    ),
    Kind(
        "recognition_invitations",
        _("invitations to register the face again"),
        RecognitionInvitation,
        {
            "times_come": "came",
            "of_them_without_the_face": "without_face",
            "recognised_wrongly": "mistaken",
            "times_recognised": "accepted",
            "of_them_barely": "barely",
            "sent_at": "sent_at",
        },
        by_student=("student",),
    ),
    Kind(
        "class_photos",
        _("class photos that wait for a confirmation"),
        ClassPhoto,
        {"course": "session.course.code", "uploaded_at": "uploaded_at"},
        also=_class_photos_with,
        related=("session__course",),
        left_out=_("The pictures are left out: they show others."),
    ),
    Kind(
        "report_exports",
        _("exported reports on your courses"),
        ReportExport,
        {"report": "report", "made_at": "made_at"},
        also=_exports_with,
        left_out=_(
            "The files are left out: they hold the attendance of others. Yours is in this file."
        ),
    ),
    Kind(
        "notice_choices",
        _("choices of notices of entry"),
        NoticeChoice,
        {"course": "course.code", "how_often": "how_often", "chosen_at": "chosen_at"},
        by_account=("user",),
        related=("course",),
        to_account=True,
    ),
    Kind(
        "report_columns",
        _("columns chosen for reports"),
        ReportColumns,
        {"report": "report", "columns": "columns"},
        by_account=("user",),
        to_account=True,
    ),
    Kind(
        "mails",
        _("mails"),
        Email,
        {
            "subject": "subject",
            "queued_at": "created",
            "status": lambda m: str(m.get_status_display()),
        },
        also=_mails,
        left_out=_("The texts of mails are left out: they hold links that open accounts."),
    ),
    Kind(
        "history",
        _("entries in the history of the desk"),
        LogEntry,
        HISTORY_COLUMNS,
        also=_history,
        related=("content_type",),
        left_out=_("Who of the staff made an entry is left out: it is that person's data."),
    ),
    Kind(
        "account_history",
        _("entries in the history of the account"),
        LogEntry,
        HISTORY_COLUMNS,
        by_account=("user",),
        also=_history_of_account,
        related=("content_type",),
        to_account=True,
        left_out=_("Who of the staff made an entry is left out: it is that person's data."),
    ),
]

#: Models that lead to a student, or to an account, and are none of the kinds.
EXCEPTIONS: dict[str, str] = {
    "account.EmailConfirmation": "a link that was mailed; none are stored with signed links",
    "socialaccount.SocialToken": "none are stored, and they log in; go with their account",
}


def keep_in_mind(kinds: Iterable[Kind], exceptions: Mapping[str, str] | None = None) -> None:
    """Add what a later app keeps of a person, once at the start."""
    KINDS.extend(kind for kind in kinds if kind not in KINDS)
    EXCEPTIONS.update(exceptions or {})


@dataclass(frozen=True, slots=True)
class Kept:
    """How much of one kind is kept of a person."""

    kind: Kind
    count: int


def kept_of(person: Person) -> list[Kept]:
    """Everything that is kept of a person, kind by kind; kinds without a row too."""
    return [Kept(kind, kind.rows(person).count()) for kind in KINDS]


def references_to_student() -> Iterator[tuple[type[Model], str]]:
    """Every model and field of the database that points at a student."""
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy:
            continue
        for field in model._meta.concrete_fields:
            target = field.related_model
            if isinstance(target, type) and target._meta.concrete_model is Student:
                yield model, field.name
