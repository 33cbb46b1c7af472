"""A student of whom there is something of every kind."""

from __future__ import annotations

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.utils import timezone

from accounts.keyring import keyring
from accounts.models import User
from checkin.alerts.models import Alert
from checkin.appeals.models import Appeal, Disowning
from checkin.appeals.not_me import keep_probe
from checkin.class_photo.models import ClassPhoto
from checkin.models import (
    AttendanceChange,
    AttendanceWarning,
    Kiosk,
    Outcome,
    ReportColumns,
    ReportExport,
)
from checkin.notices.models import NoticeChoice, RecognitionInvitation
from checkin.passes.models import EntryPass, PassUse
from integrations.api.models import KeptAnswer
from integrations.app_logins.models import AppLogin
from integrations.app_logins.tokens import AppRefreshToken
from integrations.models import (
    Notification,
    NotificationChannel,
    OutboxMessage,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.mistakes import remember_mistake
from recognition.models import FaceRegistration, FaceTemplate, RegistrationPhoto, Resemblance
from recognition.sealing import seal_picture, seal_vector
from roster.events import students_changed
from roster.models import ClassSession, RosterClaim, Student
from tests.support.api import a_token, an_app
from tests.support.face_samples import an_embedding
from tests.support.school import MODEL_ID, a_template, an_attempt, an_attendance

#: What a picture that waits shows, before it is encrypted.
JPEG = b"\xff\xd8\xff" + b"not a face but private all the same" * 300


def an_account_of(student: Student, username: str) -> User:
    user = User.objects.create_user(
        username, f"{username}@private.example", "a password of hers", first_name=username.title()
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    student.user = user
    student.save()
    return user


def a_registration(
    student: Student, *, status: FaceRegistration.Status, seed: int = 1
) -> FaceRegistration:
    """Open, with one encrypted picture."""
    registration = FaceRegistration.objects.create(
        student=student, status=status, submitted_at=timezone.now()
    )
    a_photo(registration, seed=seed)
    return registration


def a_photo(registration: FaceRegistration, *, seed: int = 1) -> RegistrationPhoto:
    student_pk = registration.student_id
    return RegistrationPhoto.objects.create(
        registration=registration,
        sealed_picture=seal_picture(JPEG, student_pk=student_pk),
        sealed_vector=seal_vector(an_embedding(seed), student_pk=student_pk, model_id=MODEL_ID),
        model_id=MODEL_ID,
        face_height_px=200,
        sharpness=100,
        brightness=120,
    )


def an_imported_picture(student: Student, photo_import: PhotoImport) -> PhotoImportItem:
    return PhotoImportItem.objects.create(
        photo_import=photo_import,
        file_name=f"{student.student_id}.png",
        student=student,
        state=PhotoImportItem.State.WAITING,
        sealed_picture=seal_picture(JPEG, student_pk=student.pk),
    )


def live_a_whole_life(
    student: Student, *, other: Student, session: ClassSession, kiosk: Kiosk, staff: User
) -> None:
    """Give the student, who is on a class list, a row of every kind that there is."""
    user = an_account_of(student, "eileen")
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.TOTP, data={"secret": "a secret of hers"}
    )
    SocialAccount.objects.create(user=user, provider="university", uid="eileen-there")
    RosterClaim.objects.create(user=user, student=student)
    template = a_template(student, an_embedding(1))
    a_registration(student, status=FaceRegistration.Status.PENDING)
    photo_import = PhotoImport.objects.create(
        course=session.course, archive_name="class.zip", replaces_known=False
    )
    an_imported_picture(student, photo_import)
    Resemblance.objects.create(student=student, other=other, similarity=0.9, kind="look_alike")
    Resemblance.objects.create(student=other, other=student, similarity=0.9, kind="look_alike")
    an_attendance(session, student, kiosk=kiosk)
    change = AttendanceChange.objects.create(
        session=session, student=student, at=timezone.now(), by=staff, reason="A reason of hers"
    )
    attempt = an_attempt(
        kiosk,
        session,
        student=student,
        template=template,
        outcome=Outcome.PRESENT,
        similarity=0.97,
        threshold=0.93,
    )
    keep_probe(attempt=attempt, embedding=an_embedding(3))
    Disowning.objects.create(
        appeal=Appeal.objects.create(
            session=session, student=student, kind="question", text="Words of hers"
        ),
        attempt=attempt,
        change=change,
        mistake=remember_mistake(template=template, embedding=an_embedding(3), at=timezone.now()),
        at_kiosk=True,
    )
    entry_pass = EntryPass.objects.create(
        student=student, code_hash="0" * 64, expires_at=timezone.now() + timedelta(days=8)
    )
    PassUse.objects.create(
        code_hash="0" * 64,
        student=student,
        entry_pass=entry_pass,
        session=session,
        kiosk=kiosk,
        kind=PassUse.Kind.ONE_TIME,
        at=timezone.now(),
    )
    AttendanceWarning.objects.create(
        student=student, course=session.course, threshold=75, attended=1, counted=4, sent_by=staff
    )
    export = ReportExport.objects.create(
        made_by=staff,
        report="course",
        subject=str(session.course),
        kind="csv",
        file_name="CourseAttendanceInfo.csv",
        row_count=1,
        sealed_file=keyring().encrypt(str(student).encode()),
    )
    export.courses.add(session.course)
    alert = Alert(kind=Alert.Kind.DENIED, session=session, kiosk=kiosk, student=student)
    alert.seal_picture(JPEG)
    alert.save()
    class_photo = ClassPhoto(session=session, digest="0" * 64, width=800, height=600)
    class_photo.seal(picture_jpeg=JPEG, faces=[])
    class_photo.save()
    RecognitionInvitation.objects.create(
        student=student, came=4, without_face=3, mistaken=0, accepted=1, barely=0, sent_by=staff
    )
    NoticeChoice.objects.create(user=user, how_often="daily")
    ReportColumns.objects.create(user=user, report="course", columns=["name"])
    with transaction.atomic():
        students_changed([(student, ["name"])], timezone.now())
    an_endpoint = WebhookEndpoint.objects.create(name="HR", url="https://hr.example.edu/hooks")
    delivery = WebhookDelivery.objects.create(
        endpoint=an_endpoint,
        message=OutboxMessage.objects.get(student=student),
        position=1,
        student_pk=student.pk,
        due_at=timezone.now(),
        give_up_at=timezone.now(),
    )
    WebhookAttempt.objects.create(delivery=delivery, status=500)
    channel = NotificationChannel(owner=user, name="Chat of hers", shown="slack://…")
    channel.seal_url("mailtos://eileen@private.example")
    channel.save()
    Notification.objects.create(
        channel=channel,
        message=delivery.message,
        due_at=timezone.now(),
        give_up_at=timezone.now(),
    )
    KeptAnswer.objects.create(
        client="client:1:1",
        key_hash="0" * 64,
        request_hash="0" * 64,
        student=student,
        sealed_body=keyring().encrypt(str(student).encode()),
    )
    login = AppLogin.objects.create(
        user=user, app="an app of hers", expires_at=timezone.now() + timedelta(days=30)
    )
    AppRefreshToken.of(login)
    app, _secret = an_app()
    a_token(app, user=user)
    queue = get_connection("accounts.mail.QueueBackend")
    EmailMessage("Your face is registered", "Hello!", to=[user.email], connection=queue).send()
    _log(staff, student, CHANGE, str(student))
    _log(staff, student.enrolments.get(), ADDITION, f"{student} · {session.course.code}")
    _log(staff, user, CHANGE, user.username)
    assert FaceTemplate.objects.filter(student=student).count() == 1


def _log(staff: User, row: object, flag: int, named: str) -> None:
    LogEntry.objects.create(
        user=staff,
        content_type=ContentType.objects.get_for_model(row),  # type: ignore[arg-type]
        object_id=str(row.pk),  # type: ignore[attr-defined]
        object_repr=named,
        action_flag=flag,
        action_time=timezone.now() - timedelta(minutes=1),
    )
