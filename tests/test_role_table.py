"""The table of roles in `docs/security.md`, every cell of it tried through the real addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tablib
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from oauth2_provider.models import AccessToken

from accounts.keyring import keyring
from accounts.models import User
from accounts.roles import ADMINISTRATOR, LECTURER, REGISTRAR
from checkin.alerts.models import Alert
from checkin.appeals.models import Appeal
from checkin.marking import key_of, mark, state_of
from checkin.models import (
    AttendanceChange,
    AttendanceWarning,
    Kiosk,
    PairingCode,
    ReportExport,
)
from checkin.notices.models import NoticeChoice, RecognitionInvitation
from checkin.passes.models import EntryPass, PassUse
from checkin.services import issue_kiosk_token
from integrations.app_logins.models import AppLogin
from integrations.models import (
    ApiClient,
    NotificationChannel,
    OutboxMessage,
    WebhookDelivery,
    WebhookEndpoint,
)
from integrations.operations.readiness import readiness
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from recognition.cohort.models import PhotoImport
from recognition.models import (
    FaceRegistration,
    FaceTemplate,
    GalleryEvaluation,
    IdentificationSetting,
    StudentFace,
)
from roster.models import (
    ClassSession,
    Course,
    CourseEnrolment,
    Holiday,
    PeriodLock,
    Room,
    RosterClaim,
    Student,
)
from tests.roster.by_file import confirm, preview
from tests.support.api import Api, a_machine, a_token, an_app
from tests.support.face_samples import an_embedding
from tests.support.school import (
    a_course,
    a_lecturer,
    a_member,
    a_registration,
    a_series,
    a_session,
    a_student,
    a_template,
    an_account,
    an_attempt,
    an_attendance,
)

STUDENT, KIOSK, NOBODY = "Student", "Kiosk", "Nobody logged in"
ROLES = (ADMINISTRATOR, LECTURER, REGISTRAR, STUDENT, KIOSK, NOBODY)
OWN, FOREIGN = "own", "foreign"
#: A public address, for which no name has to be resolved.
WEBHOOK_URL = "https://93.184.216.34/hooks"
TABLE = Path(__file__).parent.parent / "docs" / "security.md"


# What is written


def table_in(document: str) -> dict[str, dict[str, set[str]]]:
    """Object → role → verbs."""
    section = document.split("## Roles")[1].split("\n## ")[0]
    head, _rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return {
        row[0]: {
            role: set() if cell == "–" else set(cell.split(", "))
            for role, cell in zip(head[1:], row[1:], strict=True)
        }
        for row in rows
    }


ALLOWED = table_in(TABLE.read_text(encoding="utf-8"))


# What is there


class Half:
    """A course of one lecturer, with everything that hangs on it; every name has its code."""

    def __init__(self, code: str, person: int) -> None:
        self.code = code
        self.lecturer = a_lecturer(f"lecturer-{code}")
        self.account = an_account(f"account-{code}")
        self.second_factor = Authenticator.objects.create(
            user=self.account, type=Authenticator.Type.TOTP, data={}
        )
        self.course = a_course(code, self.lecturer)
        self.other_course = a_course(f"{code}-2", self.lecturer)
        self.student = a_student(f"S-{code}", f"Ada {code}", self.course, user=self.account)
        self.newcomer = a_student(f"N-{code}", f"Bob {code}", self.course)
        self.claim = RosterClaim.objects.create(
            user=an_account(f"claimant-{code}"), student=self.newcomer
        )
        self.unclaimed = a_student(f"U-{code}", f"Cy {code}", self.course)
        self.room = Room.objects.create(name=f"Room {code}")
        self.spare_room = Room.objects.create(name=f"Spare room {code}")
        self.session = a_session(self.course, room=self.room)
        self.planned = a_session(self.course)
        self.closed = a_session(self.course)
        ClassSession.objects.filter(pk=self.closed.pk).update(closed_at=self.closed.starts_at)
        self.series = a_series(self.course)
        self.spare_series = a_series(self.course, first_day=date(2021, 3, 1))
        self.holiday = Holiday.objects.create(
            name=f"Holiday {code}",
            course=self.course,
            first_day=date(2020, 5, 1),
            last_day=date(2020, 5, 1),
        )
        self.kiosk = Kiosk.objects.create(name=f"Kiosk {code}", room=self.room)
        self.spare_kiosk = Kiosk.objects.create(name=f"Spare kiosk {code}", room=self.room)
        self.used_kiosk = Kiosk.objects.create(name=f"Used kiosk {code}", room=self.room)
        issue_kiosk_token(self.used_kiosk)
        self.attendance = an_attendance(self.session, self.student, kiosk=self.kiosk)
        self.marked = an_attendance(self.session, self.newcomer, method="manual")
        self.attendance_change = AttendanceChange.objects.create(
            session=self.session,
            student=self.newcomer,
            at=self.marked.arrived_at,
            by=self.lecturer,
            after=state_of(self.marked),
        )
        self.attempt = an_attempt(self.kiosk, self.session, student=self.student)
        self.appeal = Appeal.objects.create(
            session=self.session, student=self.newcomer, kind="question", text="Wrong"
        )
        self.alert = Alert(kind=Alert.Kind.SPOOF, session=self.session, kiosk=self.kiosk)
        self.alert.seal_picture(b"a JPEG")
        self.alert.save()
        self.entry_pass = EntryPass.objects.create(
            student=self.student,
            code_hash=f"mailed to {code}",
            issued_at=self.session.starts_at,
            expires_at=self.session.starts_at + timedelta(days=8),
        )
        self.pass_use = PassUse.objects.create(
            code_hash=f"shown by {code}",
            student=self.student,
            session=self.session,
            kiosk=self.kiosk,
            kind=PassUse.Kind.ROTATING,
            at=self.session.starts_at,
        )
        self.template = a_template(self.student, an_embedding(person))
        self.consent = self.student.consents.get()
        self.registration = a_registration(self.student, an_embedding(person))
        self.photo = self.registration.photos.get()
        self.photo_import = PhotoImport.objects.create(
            course=self.course, archive_name=f"{code}.zip", replaces_known=False
        )
        self.webhook = WebhookEndpoint.objects.create(name=f"Webhook {code}", url=WEBHOOK_URL)
        self.spare_webhook = WebhookEndpoint.objects.create(name=f"Spare {code}", url=WEBHOOK_URL)
        self.delivery = WebhookDelivery.objects.create(
            endpoint=self.webhook,
            message=OutboxMessage.objects.create(
                kind="student.changed",
                version=1,
                occurred_at=self.session.starts_at,
                student=self.student,
                payload={},
            ),
            state=WebhookDelivery.State.GIVEN_UP,
            position=1,
            give_up_at=self.session.starts_at,
            ended_at=self.session.starts_at,
        )
        self.channel = NotificationChannel.objects.create(
            owner=self.lecturer, name=f"Channel {code}", shown="slack://…"
        )
        self.group = Group.objects.create(name=f"Group {code}")
        self.profile = self._profile(f"Profile {code}")
        self.schedule = ExportSchedule.objects.create(
            profile=self._profile(f"Scheduled {code}"), next_at=self.session.starts_at
        )
        self.spare_schedule = ExportSchedule.objects.create(
            profile=self.schedule.profile, next_at=self.session.starts_at
        )
        self.run = ExportRun.objects.create(
            schedule=self.schedule,
            first_day=date(2020, 5, 1),
            last_day=date(2020, 5, 31),
            state=ExportRun.State.FAILED,
        )
        self.lock = PeriodLock.objects.create(
            course=self.course,
            first_day=date(2020, 5, 1),
            last_day=date(2020, 5, 31),
            reason=f"Paid {code}",
        )
        self.client, _secret = a_machine(self.lecturer, name=f"System {code}")
        a_token(self.client)
        self.app_login = AppLogin.objects.create(
            user=self.account, app=f"App {code}", expires_at=self.session.ends_at
        )

    def _profile(self, name: str) -> ExportProfile:
        columns = [{"code": "name", "heading": "Name"}, {"code": "hours", "heading": "Hours"}]
        return ExportProfile.objects.create(name=name, owner=self.lecturer, columns=columns)

    @property
    def face(self) -> StudentFace:
        return StudentFace.objects.get(pk=self.student.pk)

    @property
    def client_token(self) -> AccessToken:
        return AccessToken.objects.get(application=self.client.application)

    @property
    def enrolment(self) -> CourseEnrolment:
        return self.unclaimed.enrolments.get()


class School:
    def __init__(self) -> None:
        self.halves = {OWN: Half("MATH", 1), FOREIGN: Half("CHEM", 2)}
        self.root = User.objects.create_superuser("root-user", "root@example.edu")
        self.roots_factor = Authenticator.objects.create(
            user=self.root, type=Authenticator.Type.TOTP, data={}
        )
        own = self.halves[OWN]
        self.token = issue_kiosk_token(own.kiosk)
        self.members = {
            ADMINISTRATOR: a_member(ADMINISTRATOR, "administrator"),
            LECTURER: own.lecturer,
            REGISTRAR: a_member(REGISTRAR, "registrar"),
            STUDENT: own.account,
        }
        self._session_keys = {role: _session_key(user) for role, user in self.members.items()}

    def client_of(self, role: str) -> Client:
        if role == KIOSK:
            client = Client(headers={"authorization": f"Bearer {self.token}"})
            client.cookies["kiosk_token"] = self.token
            return client
        client = Client()
        if role in self._session_keys:
            client.cookies[settings.SESSION_COOKIE_NAME] = self._session_keys[role]
        return client


def _session_key(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def school(django_db_setup: None, django_db_blocker: Any) -> Iterator[School]:
    """Built once; what a test does to it is undone after each."""
    with django_db_blocker.unblock(), undone():
        yield School()


@dataclass
class Visit:
    """One who comes, and the half of the school they try to reach."""

    school: School
    role: str
    which: str
    client: Client = field(init=False)
    half: Half = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.school.client_of(self.role)
        self.half = self.school.halves[self.which]


#: Ways to try a verb, and whether each led somewhere.
Answers = dict[str, bool]
Try = Callable[[Visit], Answers]


# The ways


def shows(answer: HttpResponse, text: str) -> bool:
    return answer.status_code == 200 and text in answer.text


@dataclass(frozen=True)
class Desk:
    """The pages of one model: which row is tried, and by which text it is known."""

    model: str
    row: Callable[[Visit], Model]
    text: Callable[[Visit], str]
    deletable: Callable[[Visit], Model] | None = None
    form: Callable[[Half], dict[str, Any]] = lambda half: {}
    pages: tuple[str, ...] = ("change", "history")
    #: A field of another model through which rows are suggested.
    suggested_to: str = ""

    def url(self, page: str, *args: Any) -> str:
        return reverse(f"admin:{self.model}_{page}", args=args)

    def see(self, visit: Visit) -> Answers:
        row, text, answers = self.row(visit), self.text(visit), {}
        whole = visit.client.get(self.url("changelist"))
        answers["listed"] = _lists(whole, row)
        answers["named in the list"] = shows(whole, text)
        answers["found"] = _lists(visit.client.get(self.url("changelist"), {"q": text}), row)
        for page in self.pages:
            answers[page] = visit.client.get(self.url(page, row.pk)).status_code == 200
        if self.suggested_to:
            answers["suggested"] = self._is_suggested(visit, row)
        return answers

    def _is_suggested(self, visit: Visit, row: Model) -> bool:
        app_label, model_name, field_name = self.suggested_to.split(".")
        source = {"app_label": app_label, "model_name": model_name, "field_name": field_name}
        answer = visit.client.get(reverse("admin:autocomplete"), source)
        if answer.status_code != 200:
            return False
        return str(row.pk) in [found["id"] for found in answer.json()["results"]]

    def add(self, visit: Visit) -> Answers:
        model = type(self.row(visit))
        before = model._default_manager.count()
        visit.client.post(self.url("add"), self.form(visit.half))
        return {"added": model._default_manager.count() == before + 1}

    def change(self, visit: Visit) -> Answers:
        row = (self.deletable or self.row)(visit)
        as_it_is = type(row)._default_manager.filter(pk=row.pk).values()
        before = as_it_is.get()
        visit.client.post(self.url("change", row.pk), self.form(visit.half))
        return {"changed": as_it_is.get() != before}

    def delete(self, visit: Visit) -> Answers:
        row = (self.deletable or self.row)(visit)
        with undone():
            visit.client.post(self.url("delete", row.pk), {"post": "yes"})
            by_page = not _exists(row)
        with undone():
            self.act(visit, row, "delete_selected", post="yes")
            by_action = not _exists(row)
        return {"by its page": by_page, "by the list": by_action}

    def act(self, visit: Visit, row: Model, action: str, **posted: Any) -> HttpResponse:
        return visit.client.post(
            self.url("changelist"), {"action": action, "_selected_action": [row.pk], **posted}
        )

    def action(
        self,
        name: str,
        row: Callable[[Visit], Model],
        happened: Callable[[Any], bool],
        **posted: Any,
    ) -> Try:
        """A try of an action of the list; ``happened`` looks at the row afterwards."""

        def attempt(visit: Visit) -> Answers:
            tried = row(visit)
            self.act(visit, tried, name, **posted)
            return {name: bool(happened(type(tried)._default_manager.get(pk=tried.pk)))}

        return attempt

    def verbs(self, **more: Try) -> dict[str, Try]:
        basic = {"see": self.see, "add": self.add, "change": self.change, "delete": self.delete}
        return basic | {name.replace("_", " "): attempt for name, attempt in more.items()}


def _lists(answer: HttpResponse, row: Model) -> bool:
    if answer.status_code != 200:
        return False
    return row.pk in [listed.pk for listed in answer.context["cl"].result_list]


def _exists(row: Model) -> bool:
    return type(row)._default_manager.filter(pk=row.pk).exists()


def page(url: str, text: Callable[[Visit], str]) -> Try:
    """A try of one page that knows who asks."""
    return lambda visit: {url: shows(visit.client.get(url), text(visit))}


def _name_of(visit: Visit) -> str:
    member = visit.school.members.get(visit.role)
    return member.username if member else "nobody"


# The desk, object by object

accounts = Desk(
    "accounts_user",
    row=lambda visit: visit.half.account,
    text=lambda visit: visit.half.account.username,
    form=lambda half: {"username": f"new-{half.code}", "usable_password": "false"},
    suggested_to="roster.student.user",
)
superusers = Desk(
    "accounts_user",
    row=lambda visit: visit.school.root,
    text=lambda visit: "root-user",
    form=lambda half: {"username": "taken-over", "email": "mine@example.edu", "is_active": "on"},
)
second_factors = Desk(
    "mfa_authenticator",
    row=lambda visit: visit.half.second_factor,
    text=lambda visit: visit.half.account.username,
)
superusers_factors = Desk(
    "mfa_authenticator",
    row=lambda visit: visit.school.roots_factor,
    text=lambda visit: "root-user",
)
groups = Desk(
    "auth_group",
    row=lambda visit: visit.half.group,
    text=lambda visit: visit.half.group.name,
    form=lambda half: {"name": f"New group {half.code}"},
)
addresses = Desk(
    "account_emailaddress",
    row=lambda visit: visit.half.account.emailaddress_set.get(),
    text=lambda visit: visit.half.account.email,
    form=lambda half: {"user": half.account.pk, "email": "mine@example.edu", "verified": "on"},
)
students = Desk(
    "roster_student",
    row=lambda visit: visit.half.student,
    text=lambda visit: visit.half.student.name,
    form=lambda half: {"student_id": f"X-{half.code}", "name": "Somebody New"},
    suggested_to="roster.courseenrolment.student",
)
claims = Desk(
    "roster_rosterclaim",
    row=lambda visit: visit.half.claim,
    text=lambda visit: f"claimant-{visit.half.code}",
)
rooms = Desk(
    "roster_room",
    row=lambda visit: visit.half.room,
    text=lambda visit: visit.half.room.name,
    deletable=lambda visit: visit.half.spare_room,
    form=lambda half: {"name": f"New room {half.code}"},
    suggested_to="roster.classsession.room",
)
courses = Desk(
    "roster_course",
    row=lambda visit: visit.half.course,
    text=lambda visit: visit.half.course.title,
    deletable=lambda visit: visit.half.other_course,
    form=lambda half: {
        "code": f"{half.code}-3",
        "title": "New",
        "timezone": "UTC",
        "shown_name": "full",
        "opens_early_min": 15,
        "late_after_min": 10,
        "min_stay_min": 5,
        "entry_policy": "face_or_pass",
        "liveness": "challenge",
        "alerts_to": "lecturers",
        "entry_notices_to": "student",
    },
    suggested_to="checkin.kiosk.courses",
)
class_lists = Desk(
    "roster_courseenrolment",
    row=lambda visit: visit.half.enrolment,
    text=lambda visit: visit.half.unclaimed.name,
    form=lambda half: {
        "course": half.other_course.pk,
        "student": half.unclaimed.pk,
        "joined_on": "2026-03-02",
    },
)
sessions = Desk(
    "roster_classsession",
    row=lambda visit: visit.half.session,
    text=lambda visit: visit.half.course.code,
    deletable=lambda visit: visit.half.planned,
    form=lambda half: {
        "course": half.course.pk,
        "starts_at_0": "2026-03-02",
        "starts_at_1": "09:00",
        "ends_at_0": "2026-03-02",
        "ends_at_1": "10:30",
        "opens_early_min": 15,
        "late_after_min": 10,
    },
    suggested_to="checkin.attendance.session",
)
series = Desk(
    "roster_sessionseries",
    row=lambda visit: visit.half.series,
    text=lambda visit: visit.half.course.code,
    deletable=lambda visit: visit.half.spare_series,
    form=lambda half: {
        "course": half.other_course.pk,
        "weekdays": ["TU"],
        "start_time": "09:00",
        "end_time": "10:30",
        "first_day": "2020-03-02",
        "last_day": "2020-04-02",
        "interval_weeks": 1,
        "_confirmed": "yes",
    },
)
holidays = Desk(
    "roster_holiday",
    row=lambda visit: visit.half.holiday,
    text=lambda visit: visit.half.holiday.name,
    form=lambda half: {
        "course": half.course.pk,
        "name": "New",
        "first_day": "2020-05-02",
        "last_day": "2020-05-03",
    },
)
faces = Desk(
    "recognition_studentface",
    row=lambda visit: visit.half.face,
    text=lambda visit: visit.half.student.name,
    pages=("history",),
)
registrations = Desk(
    "recognition_faceregistration",
    row=lambda visit: visit.half.registration,
    text=lambda visit: visit.half.student.name,
)
photo_imports = Desk(
    "recognition_photoimport",
    row=lambda visit: visit.half.photo_import,
    text=lambda visit: visit.half.photo_import.archive_name,
)
templates = Desk(
    "recognition_facetemplate",
    row=lambda visit: visit.half.template,
    text=lambda visit: visit.half.student.name,
    suggested_to="checkin.checkinattempt.template",
)
consents = Desk(
    "recognition_consent",
    row=lambda visit: visit.half.consent,
    text=lambda visit: visit.half.student.name,
)
kiosks = Desk(
    "checkin_kiosk",
    row=lambda visit: visit.half.kiosk,
    text=lambda visit: visit.half.kiosk.name,
    deletable=lambda visit: visit.half.spare_kiosk,
    form=lambda half: {"name": f"New kiosk {half.code}", "room": half.room.pk},
    suggested_to="checkin.attendance.kiosk",
)
webhooks = Desk(
    "integrations_webhookendpoint",
    row=lambda visit: visit.half.webhook,
    text=lambda visit: visit.half.webhook.name,
    deletable=lambda visit: visit.half.spare_webhook,
    form=lambda half: {"name": f"New webhook {half.code}", "url": WEBHOOK_URL},
)
deliveries = Desk(
    "integrations_webhookdelivery",
    row=lambda visit: visit.half.delivery,
    text=lambda visit: "student.changed",
)
channels = Desk(
    "integrations_notificationchannel",
    row=lambda visit: visit.half.channel,
    text=lambda visit: visit.half.channel.name,
    form=lambda half: {
        "name": f"New channel {half.code}",
        "url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/general",
        "told": ["alert"],
        "rhythm": "daily",
    },
)
attendance = Desk(
    "checkin_attendance",
    row=lambda visit: visit.half.attendance,
    text=lambda visit: visit.half.student.name,
)
changes = Desk(
    "checkin_attendancechange",
    row=lambda visit: visit.half.attendance_change,
    text=lambda visit: visit.half.newcomer.name,
)
alerts = Desk(
    "checkin_alert",
    row=lambda visit: visit.half.alert,
    text=lambda visit: visit.half.kiosk.name,
)
appeals = Desk(
    "checkin_appeal",
    row=lambda visit: visit.half.appeal,
    text=lambda visit: visit.half.newcomer.name,
)
attempts = Desk(
    "checkin_checkinattempt",
    row=lambda visit: visit.half.attempt,
    text=lambda visit: visit.half.student.name,
)

passes = Desk(
    "checkin_entrypass",
    row=lambda visit: visit.half.entry_pass,
    text=lambda visit: visit.half.student.name,
)
pass_uses = Desk(
    "checkin_passuse",
    row=lambda visit: visit.half.pass_use,
    text=lambda visit: visit.half.student.name,
)


def export_of(desk: Desk, text: Callable[[Half], str]) -> Try:
    def attempt(visit: Visit) -> Answers:
        csv, xlsx = (visit.client.get(desk.url(page)) for page in ("export", "export_xlsx"))
        rows = tablib.Dataset().load(xlsx.content, format="xlsx") if xlsx.status_code == 200 else ""
        return {
            "as CSV": shows(csv, text(visit.half)),
            "as XLSX": text(visit.half) in str(rows),
        }

    return attempt


def import_of(desk: Desk, file: str, **choices: Callable[[Half], Any]) -> Try:
    """The file adds one row."""
    model = desk.model.split("_")[1]

    def attempt(visit: Visit) -> Answers:
        rows = type(desk.row(visit))._default_manager
        before = rows.count()
        chosen = {name: choose(visit.half) for name, choose in choices.items()}
        previewed = preview(visit.client, model, file, **chosen)
        if (previewed.context or {}).get("confirm_form"):
            confirm(visit.client, previewed)
        return {"imported": rows.count() == before + 1}

    return attempt


def erase_student(visit: Visit) -> Answers:
    student = visit.half.student
    with undone():
        visit.client.post(
            reverse("admin:roster_student_erase", args=[student.pk]),
            {"number": student.student_id, "account": "unlink"},
        )
        by_page = not _exists(student)
    visit.client.post(students.url("delete", student.pk), {"post": "yes"})
    students.act(visit, student, "delete_selected", post="yes")
    assert _exists(student)
    return {"erased": by_page}


def merge_students(visit: Visit) -> Answers:
    keep, other = visit.half.student, visit.half.unclaimed
    address = reverse("admin:roster_student_merge")
    visit.client.post(f"{address}?keep={keep.pk}&other={other.pk}")
    return {"merged": not _exists(other)}


def add_photo_import(visit: Visit) -> Answers:
    form = visit.client.get(photo_imports.url("add"))
    return {"course offered": shows(form, visit.half.course.title)}


def enrol_page(visit: Visit) -> Answers:
    face = visit.half.face
    opened = visit.client.get(faces.url("change", face.pk))
    led = faces.act(visit, face, "enrol").headers.get("location", "")
    return {
        "page": shows(opened, visit.half.student.name),
        "action": led == faces.url("change", face.pk),
    }


def decision_page(decision: str, status: str) -> Try:
    """A try of the decision on the registration's own page, and of the same for the whole list."""

    def attempt(visit: Visit) -> Answers:
        registration, answers = visit.half.registration, {}
        stored = FaceRegistration.objects.filter(pk=registration.pk, status=status)
        with undone():
            visit.client.post(
                registrations.url("change", registration.pk),
                {"decision": decision, "reason": "Too dark"},
            )
            answers["by its page"] = stored.exists()
        with undone():
            registrations.act(visit, registration, decision, reason="Too dark")
            answers["by the list"] = stored.exists()
        return answers

    return attempt


def see_live_page(visit: Visit) -> Answers:
    session, student = visit.half.session, visit.half.student
    return {
        "page": shows(visit.client.get(live_page(session)), student.name),
        "student": shows(
            visit.client.get(live_page(session, "_student", student.pk)), student.student_id
        ),
    }


def mark_by_hand(visit: Visit) -> Answers:
    address = live_page(visit.half.session, "_student", visit.half.unclaimed.pk)
    visit.client.post(address, {"status": "present", "shown": key_of(None)})
    return {"marked": visit.half.unclaimed.attendance.exists()}


def undo_by_hand(visit: Visit) -> Answers:
    change = visit.half.attendance_change
    visit.client.post(live_page(visit.half.session, "_undo"), {"change": change.pk})
    return {"undone": not _exists(visit.half.marked)}


def live_page(session: ClassSession, page: str = "", *more: int) -> str:
    return reverse(f"admin:checkin_attendance_live{page}", args=[session.pk, *more])


def see_photo(visit: Visit) -> Answers:
    answer = visit.client.get(reverse("face_photo", args=[visit.half.photo.pk]))
    return {"photo": answer.status_code == 200 and answer.content == b"a JPEG"}


def see_alert(visit: Visit) -> Answers:
    answer = visit.client.get(alerts.url("picture", visit.half.alert.pk))
    picture = answer.status_code == 200 and answer.content == b"a JPEG"
    return alerts.see(visit) | {"picture": picture}


def decide_on_alert(visit: Visit) -> Answers:
    alert, answers = visit.half.alert, {}
    decided = Alert.objects.filter(pk=alert.pk).exclude(decision="open")
    posted = {"decision": "identified", "student": visit.half.student.pk}
    for way, act in {
        "by its page": lambda: visit.client.post(alerts.url("change", alert.pk), posted),
        "by the list": lambda: alerts.act(visit, alert, "ignore_chosen"),
    }.items():
        with undone():
            act()
            answers[way] = decided.exists()
    return answers


def decide_on_appeal(visit: Visit) -> Answers:
    appeal, answers = visit.half.appeal, {}
    shown = key_of(state_of(visit.half.marked))
    accepting = {"decision": "accept", "status": "late", "answer": "Yes", "shown": shown}
    for status, posted in {
        "accepted": accepting,
        "refused": {"decision": "refuse", "answer": "No"},
    }.items():
        with undone():
            visit.client.post(appeals.url("change", appeal.pk), posted)
            answers[status] = Appeal.objects.filter(pk=appeal.pk, status=status).exists()
    return answers


def see_own_record(visit: Visit) -> Answers:
    history = visit.client.get(reverse("own_attendance"))
    record = visit.client.get(reverse("own_record", args=[visit.half.session.pk]))
    return {
        "history": shows(history, visit.half.code),
        "record": shows(record, visit.half.course.title),
    }


def appeal_own_record(visit: Visit) -> Answers:
    visit.client.post(reverse("appeal", args=[visit.half.session.pk]), {"text": "Wrong"})
    return {"opened": visit.half.student.appeals.exists()}


def disown_own_record(visit: Visit) -> Answers:
    half = visit.half
    arrived_at = half.attendance.arrived_at
    attempt = an_attempt(
        half.kiosk, half.session, student=half.student, outcome="present", at=arrived_at
    )
    visit.client.post(reverse("not_me", args=[half.session.pk]), {"attempt": attempt.pk})
    return {"undone": not _exists(half.attendance)}


def mail_pass(visit: Visit) -> Answers:
    """From each list whose rows stand for students."""
    newcomer, answers = visit.half.newcomer, {}
    newcomer.email = "newcomer@example.edu"
    newcomer.save(update_fields=["email"])
    for desk, action, row in (
        (students, "mail_pass", newcomer),
        (class_lists, "mail_pass", newcomer.enrolments.get()),
        (courses, "mail_missing_passes", visit.half.course),
    ):
        with undone():
            desk.act(visit, row, action)
            answers[f"{desk.model}: {action}"] = newcomer.entry_passes.exists()
    with undone():
        passes.act(visit, visit.half.entry_pass, "mail_pass")
        answers["instead of the old one"] = visit.half.student.entry_passes.count() == 2
    return answers


def revoke_pass(visit: Visit) -> Answers:
    answers, enrolment = {}, visit.half.student.enrolments.get()
    for desk, row in (
        (passes, visit.half.entry_pass),
        (students, visit.half.student),
        (class_lists, enrolment),
    ):
        with undone():
            desk.act(visit, row, "end_pass")
            found = EntryPass.objects.get(pk=visit.half.entry_pass.pk)
            answers[desk.model] = found.revoked_at is not None
    return answers


def see_own_pass(visit: Visit) -> Answers:
    code = visit.client.get(reverse("own_pass_code", args=[visit.half.session.pk]))
    return {
        "page": shows(visit.client.get(reverse("own_pass")), visit.half.course.title),
        "code": shows(code, "data:image/svg+xml"),
    }


def mail_own_pass(visit: Visit) -> Answers:
    visit.client.post(reverse("mail_own_pass"))
    return {"mailed": visit.half.student.entry_passes.count() == 2}


def _apps_of_whom(visit: Visit) -> tuple[ApiClient, AppLogin]:
    """An app and a log-in of whoever comes, or of their like on the other half."""
    half = visit.half
    owner = half.lecturer if visit.role == LECTURER else half.account
    if visit.which == OWN:
        owner = visit.school.members.get(visit.role, owner)
    app, _secret = an_app(name="Their app")
    a_token(app, user=owner)
    login = AppLogin.objects.create(
        user=owner, app="Their log-in", expires_at=timezone.now() + timedelta(days=1)
    )
    return app, login


def see_own_apps(visit: Visit) -> Answers:
    app, login = _apps_of_whom(visit)
    page = visit.client.get(reverse("own_apps"))
    return {"app": shows(page, app.name), "log-in": shows(page, login.app)}


def disconnect_own_apps(visit: Visit) -> Answers:
    app, login = _apps_of_whom(visit)
    visit.client.post(reverse("disconnect_own_app", args=[app.pk]))
    visit.client.post(reverse("end_own_login", args=[login.pk]))
    login.refresh_from_db()
    return {
        "app": not AccessToken.objects.filter(application=app.application).exists(),
        "log-in": login.ended_at is not None,
    }


def _report(name: str, *args: Any) -> str:
    return reverse(f"admin:checkin_{name}", args=args)


def see_reports(visit: Visit) -> Answers:
    half = visit.half
    return {
        "of all courses": shows(visit.client.get(_report("reportexport_changelist")), half.code),
        "of the course": shows(
            visit.client.get(_report("report_course", half.course.pk)), half.student.name
        ),
        "of the session": shows(
            visit.client.get(_report("report_session", half.session.pk)), half.student.name
        ),
        "of the student": shows(
            visit.client.get(_report("report_student", half.student.pk)), half.student.name
        ),
    }


THRESHOLDS = "/admin/recognition/identificationsetting/"


def see_thresholds(visit: Visit) -> Answers:
    return {"page": shows(visit.client.get(THRESHOLDS), "In force")}


def measure_recognition(visit: Visit) -> Answers:
    visit.client.post(f"{THRESHOLDS}measure/")
    return {"asked for": GalleryEvaluation.objects.exists()}


def apply_thresholds(visit: Visit) -> Answers:
    before = IdentificationSetting.objects.create(
        model_id="dlib-resnet-v1",
        similarity_at_size=[[1, 0.95]],
        margin=0.01,
        band=0.01,
        target_fpir=0.001,
        reason="before",
    )
    visit.client.post(f"{THRESHOLDS}{before.pk}/again/", {"reason": "again"})
    return {"in force": IdentificationSetting.objects.filter(reason="again").exists()}


def export_report(visit: Visit) -> Answers:
    address = _report("report_course", visit.half.course.pk)
    answer = visit.client.post(address, {"kind": "csv"})
    return {
        "answered": shows(answer, visit.half.student.student_id),
        "kept": ReportExport.objects.exists(),
    }


def download_export(visit: Visit) -> Answers:
    """A file that the visitor made while the course was theirs."""
    export = ReportExport.objects.create(
        made_by=visit.school.members.get(visit.role),
        report="course",
        subject=visit.half.code,
        kind="csv",
        file_name="file.csv",
        row_count=1,
        sealed_file=keyring().encrypt(b"the file"),
    )
    export.courses.add(visit.half.course)
    listed = visit.client.get(_report("report_exports"))
    return {
        "listed": shows(listed, "file.csv"),
        "file": shows(visit.client.get(_report("report_download", export.pk)), "the file"),
    }


def _absent_student(visit: Visit) -> str:
    """A student of the half who is to be warned, and how the form calls them."""
    absent = a_student(
        f"A-{visit.half.code}", "Abel Absent", visit.half.course, email="abel@example.edu"
    )
    an_attendance(visit.half.closed, absent, status="absent", arrived_at=None)
    return f"{visit.half.course.pk}-{absent.pk}"


def see_low_attendance(visit: Visit) -> Answers:
    _absent_student(visit)
    address = f"{_report('report_warn')}?threshold=75&min_sessions=1"
    return {"listed": shows(visit.client.get(address), "Abel Absent")}


def warn_of_attendance(visit: Visit) -> Answers:
    key = _absent_student(visit)
    visit.client.post(f"{_report('report_warn')}?threshold=75&min_sessions=1", {"student": [key]})
    return {"sent": AttendanceWarning.objects.exists()}


FAILING = "/admin/checkin/recognitioninvitation/"


def _failing_student(visit: Visit) -> Student:
    """A student of the half who is marked by hand wherever the other comes by face."""
    failing = a_student("F-1", "Fay Failing", visit.half.course, email="fay@example.edu")
    template = a_template(failing, an_embedding(9))
    FaceTemplate.objects.filter(pk=template.pk).update(created_at=visit.half.session.opens_at)
    for _ in range(4):
        session = a_session(visit.half.course)
        an_attendance(session, visit.half.student)
        an_attendance(session, failing, method="manual")
    return failing


def see_failing_recognition(visit: Visit) -> Answers:
    _failing_student(visit)
    return {"listed": shows(visit.client.get(FAILING), "Fay Failing")}


def invite_to_register_again(visit: Visit) -> Answers:
    visit.client.post(FAILING, {"student": [_failing_student(visit).pk]})
    return {"invited": RecognitionInvitation.objects.exists()}


def see_choice_of_notices(visit: Visit) -> Answers:
    Course.objects.update(entry_notices_to="registered")
    page = visit.client.get(reverse("own_notices"))
    return {"offered": shows(page, f"course-{visit.half.course.pk}")}


def choose_notices_of_course(visit: Visit) -> Answers:
    Course.objects.update(entry_notices_to="registered")
    chosen = {"own": "never", f"course-{visit.half.course.pk}": "daily"}
    visit.client.post(reverse("own_notices"), chosen)
    return {"kept": NoticeChoice.objects.filter(course=visit.half.course).exists()}


def see_own_check_in(visit: Visit) -> Answers:
    answer = visit.client.get(reverse("own_check_in", args=[visit.half.session.pk]))
    return {"its page": shows(answer, visit.half.course.title)}


def see_health_in_detail(visit: Visit) -> Answers:
    readiness.forget()
    answer = visit.client.get("/readyz", REMOTE_ADDR="203.0.113.9")
    return {"/readyz": "parts" in answer.json()}


# Other systems: the same members, each through a system that acts as their account


clients = Desk(
    "integrations_apiclient",
    row=lambda visit: visit.half.client,
    text=lambda visit: visit.half.client.name,
    form=lambda half: {
        "name": f"New system {half.code}",
        "kind": "machine",
        "scopes": ["roster:read"],
        "service_account": half.lecturer.pk,
    },
)
tokens = Desk(
    "oauth2_provider_accesstoken",
    row=lambda visit: visit.half.client_token,
    text=lambda visit: visit.half.client.name,
)
app_logins = Desk(
    "integrations_applogin",
    row=lambda visit: visit.half.app_login,
    text=lambda visit: visit.half.app_login.app,
)


def revoke_token_of_client(visit: Visit) -> Answers:
    token = visit.half.client_token
    tokens.act(visit, token, "revoke")
    return {"revoked": not _exists(token)}


def renew_secret_of_client(visit: Visit) -> Answers:
    shown = clients.act(visit, visit.half.client, "new_secret")
    return {"shown": shows(shown, "shown only now")}


def api_of(visit: Visit) -> Api:
    """With a token of a system that may ask for everything; a kiosk shows its own."""
    if visit.role == KIOSK:
        return Api(visit.school.token)
    member = visit.school.members.get(visit.role)
    if member is None:
        return Api()
    client, _secret = a_machine(member, name=f"System of {member.username}")
    return Api(a_token(client))


def api_lists(path: str, row: Callable[[Visit], Model]) -> Try:
    """A try of a list; every row has its id."""

    def attempt(visit: Visit) -> Answers:
        answer = api_of(visit).get(path)
        ids = [one["id"] for one in answer.json().get("results", [])]
        return {path: answer.status_code == 200 and row(visit).pk in ids}

    return attempt


def api_shows(*paths: Callable[[Half], str]) -> Try:
    def attempt(visit: Visit) -> Answers:
        api = api_of(visit)
        return {path(visit.half): api.get(path(visit.half)).status_code == 200 for path in paths}

    return attempt


def both(first: Try, second: Try) -> Try:
    def attempt(visit: Visit) -> Answers:
        with undone():
            answers = first(visit)
        return answers | second(visit)

    return attempt


def change_student_by_api(visit: Visit) -> Answers:
    student = visit.half.student
    api_of(visit).write("PATCH", f"students/{student.pk}/", {"name": "Renamed"})
    return {"changed": Student.objects.get(pk=student.pk).name == "Renamed"}


def upload_by_api(visit: Visit) -> Answers:
    rows = [{"student_id": "I-1", "name": "Imported"}]
    path = f"courses/{visit.half.course.pk}/students/"
    api_of(visit).write("PUT", path, {"students": rows})
    return {"written": Student.objects.filter(student_id="I-1").exists()}


def mark_by_api(visit: Visit) -> Answers:
    student = visit.half.unclaimed
    path = f"sessions/{visit.half.session.pk}/attendance/{student.pk}/"
    api_of(visit).write("PUT", path, {"status": "present"})
    return {"marked": student.attendance.exists()}


def decide_by_api(visit: Visit) -> Answers:
    registration = visit.half.registration
    path = f"registrations/{registration.pk}/decision/"
    api_of(visit).write("POST", path, {"decision": "reject", "reason": "Too dark"})
    decided = FaceRegistration.objects.filter(pk=registration.pk, status="rejected")
    return {"rejected": decided.exists()}


def see_events_by_api(visit: Visit) -> Answers:
    half = visit.half
    mark(
        session=half.session,
        student=half.unclaimed,
        status="present",
        by=visit.school.root,
        reason="",
        at=half.session.starts_at,
        shown=key_of(None),
    )
    told = api_of(visit).get("events/", {"limit": 500})
    return {"told": shows(told, half.unclaimed.student_id)}


def see_me_by_api(visit: Visit) -> Answers:
    answer = api_of(visit).get("me/")
    return {"me": answer.json().get("username") == _name_of(visit)}


def see_public_pages(visit: Visit) -> Answers:
    pages = ("/", "/kiosk/", "/offline/", "/accounts/password/reset/")
    return {page: visit.client.get(page).status_code == 200 for page in pages}


# Working hours


def _own_profile(visit: Visit) -> ExportProfile:
    """The visitor's, or of the lecturer of the other half."""
    if visit.which == OWN and visit.role in visit.school.members:
        ExportProfile.objects.filter(pk=visit.half.profile.pk).update(
            owner=visit.school.members[visit.role]
        )
    return visit.half.profile


def _profile_form(half: Half) -> dict[str, Any]:
    return {
        "name": f"New {half.code}",
        "kind": "hours",
        "courses": [half.course.pk],
        "columns-code": ["name"],
        "columns-heading": ["Who"],
        "columns-text": [""],
        "columns-place": ["10"],
        "grouping": "period",
        "rounding": "none",
        "rounding_step_min": 1,
        "rounding_level": "shift",
        "break_after_min": 0,
        "break_min": 0,
        "file_kind": "csv",
        "hours_as": "decimal",
        "date_format": "%Y-%m-%d",
        "time_format": "%H:%M",
        "delimiter": ",",
        "decimal_separator": ".",
        "quoting": "minimal",
        "encoding": "utf-8",
    }


profiles = Desk(
    "integrations_exportprofile",
    row=_own_profile,
    text=lambda visit: visit.half.profile.name,
    form=_profile_form,
)
schedules = Desk(
    "integrations_exportschedule",
    row=lambda visit: visit.half.schedule,
    text=lambda visit: visit.half.schedule.profile.name,
    deletable=lambda visit: visit.half.spare_schedule,
    form=lambda half: {
        "profile": half.schedule.profile.pk,
        "active": "on",
        "rhythm": "daily",
        "weekday": 0,
        "month_day": 1,
        "at": "05:00",
        "timezone": "UTC",
        "target": "folder",
        "place": half.code,
    },
)
runs = Desk(
    "integrations_exportrun",
    row=lambda visit: visit.half.run,
    text=lambda visit: visit.half.schedule.profile.name,
)
locks = Desk(
    "roster_periodlock",
    row=lambda visit: visit.half.lock,
    text=lambda visit: visit.half.lock.reason,
    form=lambda half: {
        "course": half.course.pk,
        "first_day": "2020-06-01",
        "last_day": "2020-06-30",
        "reason": "Paid",
    },
)


def with_a_folder(attempt: Try) -> Try:
    def attempt_there(visit: Visit) -> Answers:
        with override_settings(PAYROLL_EXPORT_DIR=settings.DATA_DIR / "exports"):
            return attempt(visit)

    return attempt_there


def run_schedule(visit: Visit) -> Answers:
    pk = visit.half.schedule.pk
    address = reverse("admin:integrations_exportschedule_run", args=[pk])
    waiting = ExportRun.objects.filter(schedule=pk, state="waiting")
    with undone():
        visit.client.post(address)
        by_its_page = waiting.exists()
    with undone():
        schedules.act(visit, visit.half.schedule, "run_now")
        by_the_list = waiting.exists()
    return {"by its page": by_its_page, "by the list": by_the_list}


def _hours_page(visit: Visit) -> str:
    """Of a ready profile, and the day of a session in which the half's student has worked."""
    half = visit.half
    an_attendance(half.closed, half.student, left_at=half.closed.ends_at)
    profile = ExportProfile.objects.get(ready="generic")
    address = reverse("admin:integrations_exportprofile_preview", args=[profile.pk])
    return f"{address}?since={half.closed.day}&until={half.closed.day}"


def see_hours(visit: Visit) -> Answers:
    address, name = _hours_page(visit), visit.half.student.name
    of_the_course = f"{address}&course={visit.half.course.pk}"
    return {
        "of all courses": shows(visit.client.get(address), name),
        "of the course": shows(visit.client.get(of_the_course), name),
    }


def export_hours(visit: Visit) -> Answers:
    address, name = _hours_page(visit), visit.half.student.name
    of_the_course = f"{address}&course={visit.half.course.pk}"
    return {
        "of all courses": shows(visit.client.post(address), name),
        "of the course": shows(visit.client.post(of_the_course), name),
        "kept": ReportExport.objects.filter(report="hours", courses=visit.half.course).exists(),
    }


@dataclass(frozen=True)
class Tried:
    """The verbs of one line of the table. What is scoped belongs to a course, or to a student."""

    verbs: dict[str, Try]
    scoped: bool = True


def each_of(*desks: Desk) -> dict[str, Try]:
    """Verbs of several models as one."""

    def on_all(verb: str) -> Try:
        return lambda visit: {
            f"{desk.model}: {way}": answer
            for desk in desks
            for way, answer in getattr(desk, verb)(visit).items()
        }

    return {verb: on_all(verb) for verb in ("see", "add", "change", "delete")}


TRIED = {
    "Accounts": Tried(accounts.verbs(), scoped=False),
    "Accounts of superusers": Tried(
        {"see": superusers.see, "change": superusers.change, "delete": superusers.delete},
        scoped=False,
    ),
    "Second factors": Tried(second_factors.verbs(), scoped=False),
    "Second factors of superusers": Tried(superusers_factors.verbs(), scoped=False),
    "Groups, confirmed addresses": Tried(each_of(groups, addresses), scoped=False),
    "Students": Tried(
        {
            "see": students.see,
            "add": students.add,
            "change": students.change,
            "erase": erase_student,
            "merge": merge_students,
            "import": import_of(students, "student_id,name\nI-1,Imported\n"),
            "export": export_of(students, lambda half: half.student.student_id),
        }
    ),
    "Claims to a student number": Tried(
        claims.verbs(
            approve=claims.action("approve", claims.row, lambda row: row.status == "approved"),
            reject=claims.action("reject", claims.row, lambda row: row.status == "rejected"),
        )
    ),
    "Rooms": Tried(rooms.verbs(), scoped=False),
    "Courses": Tried(
        courses.verbs()
        | {
            "import": import_of(courses, "code,title\nI-1,Imported\n"),
            "export": export_of(courses, lambda half: half.course.title),
        }
    ),
    "Class lists": Tried(
        class_lists.verbs()
        | {
            "import": import_of(
                class_lists,
                "student_id,name\nI-1,Imported\n",
                course=lambda half: half.course.pk,
            ),
            "export": export_of(class_lists, lambda half: half.student.student_id),
        }
    ),
    "Sessions": Tried(
        sessions.verbs(
            close=sessions.action(
                "close_now", lambda visit: visit.half.planned, lambda row: bool(row.closed_at)
            ),
            reopen=sessions.action(
                "reopen",
                lambda visit: visit.half.closed,
                lambda row: row.closed_at is None,
                reason="The wrong button",
                minutes="30",
            ),
        )
    ),
    "Weekly series": Tried(series.verbs()),
    "Holidays of a course": Tried(holidays.verbs()),
    "Students’ faces": Tried(
        faces.verbs(
            enrol=enrol_page,
            withdraw=faces.action(
                "withdraw",
                faces.row,
                lambda row: not row.consents.filter(withdrawn_at=None).exists(),
            ),
        )
    ),
    "Registrations": Tried(
        registrations.verbs(
            approve=decision_page("approve", "approved"),
            reject=decision_page("reject", "rejected"),
        )
    ),
    "Imports of photos": Tried(
        {
            "see": photo_imports.see,
            "add": add_photo_import,
            "change": photo_imports.change,
            "delete": photo_imports.delete,
        }
    ),
    "Photos of a registration": Tried({"see": see_photo}),
    "Templates, without the vector": Tried(
        templates.verbs(
            revoke=templates.action("revoke", templates.row, lambda row: bool(row.revoked_at))
        )
    ),
    "Consents": Tried(consents.verbs()),
    "Thresholds of recognition": Tried(
        {"see": see_thresholds, "measure": measure_recognition, "apply": apply_thresholds},
        scoped=False,
    ),
    "Kiosks": Tried(
        kiosks.verbs(
            pair=kiosks.action(
                "make_pairing_code",
                lambda visit: visit.half.spare_kiosk,
                lambda row: PairingCode.objects.filter(kiosk=row).exists(),
            ),
            roll_token=kiosks.action(
                "roll_token", lambda visit: visit.half.used_kiosk, lambda row: row.old_token_hash
            ),
            renew_token=kiosks.action(
                "renew_token", lambda visit: visit.half.spare_kiosk, lambda row: row.token_hash
            ),
            revoke=kiosks.action("revoke", kiosks.row, lambda row: bool(row.revoked_at)),
        ),
        scoped=False,
    ),
    "Webhooks": Tried(
        webhooks.verbs(
            test=webhooks.action(
                "test", lambda visit: visit.half.spare_webhook, lambda row: row.deliveries.exists()
            ),
            renew_secret=webhooks.action(
                "renew_secret",
                lambda visit: visit.half.spare_webhook,
                lambda row: row.sealed_secret,
            ),
            switch_off=webhooks.action("stop", webhooks.row, lambda row: row.disabled_at),
        ),
        scoped=False,
    ),
    "Deliveries of webhooks": Tried(
        deliveries.verbs(
            send_again=deliveries.action(
                "again", deliveries.row, lambda row: row.state == WebhookDelivery.State.WAITING
            )
        ),
        scoped=False,
    ),
    "Notification channels of everybody": Tried(
        channels.verbs(
            test=channels.action("test", channels.row, lambda row: row.notifications.exists())
        ),
        scoped=False,
    ),
    "Attendance": Tried(attendance.verbs()),
    "Live page of a session": Tried(
        {"see": see_live_page, "mark": mark_by_hand, "undo": undo_by_hand}
    ),
    "Changes of attendance by hand": Tried(changes.verbs()),
    "Check-in attempts": Tried(attempts.verbs()),
    "Appeals": Tried(appeals.verbs(decide=decide_on_appeal)),
    "Alerts": Tried(alerts.verbs(decide=decide_on_alert) | {"see": see_alert}),
    "Entry passes, without the code": Tried(passes.verbs(mail=mail_pass, revoke=revoke_pass)),
    "Uses of passes": Tried(pass_uses.verbs()),
    "Reports on attendance": Tried(
        {"see": see_reports, "export": export_report, "download": download_export}
    ),
    "Warnings of low attendance": Tried({"see": see_low_attendance, "send": warn_of_attendance}),
    "Failing recognition": Tried(
        {"see": see_failing_recognition, "invite": invite_to_register_again}
    ),
    "Files of working hours": Tried({"see": see_hours, "export": export_hours}),
    "Export profiles": Tried(profiles.verbs()),
    "Scheduled exports": Tried(
        schedules.verbs(run=run_schedule)
        | {"add": with_a_folder(schedules.add), "change": with_a_folder(schedules.change)},
        scoped=False,
    ),
    "Runs of scheduled exports": Tried(
        runs.verbs(repeat=runs.action("try_again", runs.row, lambda row: row.state == "waiting")),
        scoped=False,
    ),
    "Locked periods": Tried(
        {
            "see": locks.see,
            "lock": locks.add,
            "change": locks.change,
            "delete": locks.delete,
            "unlock": locks.action(
                "unlock",
                locks.row,
                lambda row: row.unlocked_at is not None,
                reason="Wrong hours",
            ),
        }
    ),
    "Notices of entries to a course": Tried(
        {"see": see_choice_of_notices, "choose": choose_notices_of_course}
    ),
    "Own notification channels": Tried(
        {"see": page("/me/notices/channels/", lambda visit: "Notification channels")},
        scoped=False,
    ),
    "Own connected apps": Tried({"see": see_own_apps, "disconnect": disconnect_own_apps}),
    "Own account": Tried(
        {"see": page("/me/", lambda visit: _name_of(visit))},
        scoped=False,
    ),
    "Own face": Tried({"see": page("/face/", lambda visit: "Your face")}, scoped=False),
    "Own attendance": Tried(
        {"see": see_own_record, "appeal": appeal_own_record, "disown": disown_own_record}
    ),
    "Own pass": Tried({"see": see_own_pass, "mail": mail_own_pass}),
    "Check-in from the own device": Tried({"see": see_own_check_in}),
    "Look-up of the own record at a kiosk": Tried(
        {"see": page("/kiosk/look-up/", lambda visit: "Your student number")}, scoped=False
    ),
    "Health of the site, in detail": Tried({"see": see_health_in_detail}, scoped=False),
    "Public pages": Tried({"see": see_public_pages}, scoped=False),
    "Clients of the API": Tried(
        clients.verbs(
            renew=renew_secret_of_client,
            switch_off=clients.action("disable", clients.row, lambda row: bool(row.disabled_at)),
        ),
        scoped=False,
    ),
    "Tokens of the API, as hashes": Tried(
        {"see": tokens.see, "add": tokens.add, "revoke": revoke_token_of_client}, scoped=False
    ),
    "Log-ins of apps": Tried(
        app_logins.verbs(
            end=app_logins.action("end_logins", app_logins.row, lambda row: bool(row.ended_at))
        ),
        scoped=False,
    ),
    "API: students": Tried(
        {
            "see": both(
                api_lists("students/", lambda visit: visit.half.student),
                api_shows(lambda half: f"students/{half.student.pk}/"),
            ),
            "change": change_student_by_api,
        }
    ),
    "API: courses, class lists": Tried(
        {
            "see": both(
                api_lists("courses/", lambda visit: visit.half.course),
                api_shows(
                    lambda half: f"courses/{half.course.pk}/",
                    lambda half: f"courses/{half.course.pk}/students/",
                ),
            ),
            "upload": upload_by_api,
        }
    ),
    "API: sessions": Tried(
        {
            "see": both(
                api_lists("sessions/", lambda visit: visit.half.session),
                api_shows(lambda half: f"sessions/{half.session.pk}/"),
            )
        }
    ),
    "API: attendance": Tried(
        {
            "see": api_lists("attendance/", lambda visit: visit.half.attendance),
            "mark": mark_by_api,
        }
    ),
    "API: registrations": Tried(
        {
            "see": both(
                api_lists("registrations/", lambda visit: visit.half.registration),
                api_shows(lambda half: f"registrations/{half.registration.pk}/"),
            ),
            "decide": decide_by_api,
        }
    ),
    "API: kiosks, without the token": Tried(
        {
            "see": both(
                api_lists("kiosks/", lambda visit: visit.half.kiosk),
                api_shows(lambda half: f"kiosks/{half.kiosk.pk}/"),
            )
        },
        scoped=False,
    ),
    "API: reports": Tried(
        {
            "see": api_shows(
                lambda half: f"reports/courses/{half.course.pk}/",
                lambda half: f"reports/students/{half.student.pk}/",
                lambda half: f"reports/sessions/{half.session.pk}/",
            )
        }
    ),
    "API: events": Tried({"see": see_events_by_api}),
    "API: rooms": Tried({"see": api_lists("rooms/", lambda visit: visit.half.room)}, scoped=False),
    "API: own account": Tried({"see": see_me_by_api}, scoped=False),
}
SOCKET = "Socket of a kiosk"
LIVE_SOCKET = "Socket of a live page"
OWN_DEVICE_SOCKET = "Socket of the own device"


def halves_tried(thing: str, role: str) -> tuple[str, ...]:
    """Who has a course or a face of their own is tried on another's as well."""
    return (OWN, FOREIGN) if TRIED[thing].scoped and role in (LECTURER, STUDENT) else (OWN,)


CELLS = [
    pytest.param(role, thing, verb, which, id=f"{role}-{verb}-{which}-{thing}")
    for thing, role in product(TRIED, ROLES)
    for verb, which in product(TRIED[thing].verbs, halves_tried(thing, role))
]


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "thing", "verb", "which"), CELLS)
def test_each_role_can_do_what_the_table_says_and_nothing_else(school, role, thing, verb, which):
    allowed = verb in ALLOWED[thing][role] and which == OWN
    answers = TRIED[thing].verbs[verb](Visit(school, role, which))
    assert answers == dict.fromkeys(answers, allowed)


def test_the_table_has_the_roles_and_objects_that_are_tried_and_no_other_verb():
    assert list(ALLOWED) == [*TRIED, SOCKET, LIVE_SOCKET, OWN_DEVICE_SOCKET]
    for thing, by_role in ALLOWED.items():
        tried = TRIED[thing].verbs if thing in TRIED else ["open"]
        assert list(by_role) == list(ROLES)
        assert set().union(*by_role.values()) <= set(tried), thing
