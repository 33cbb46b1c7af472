"""What is kept of a person is listed, so that nothing of it is forgotten."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.mail import EmailMessage, get_connection
from django.db.models import CASCADE, ForeignKey, Model

from accounts.models import User
from checkin.models import Kiosk
from checkin.people.kinds import EXCEPTIONS, KINDS, Person, kept_of, references_to_student
from roster.models import ClassSession, Student
from tests.support.whole_life import live_a_whole_life

OURS = {"accounts", "roster", "recognition", "checkin", "integrations"}
LISTED = {kind.model for kind in KINDS}


def foreign_keys(model: type[Model]) -> list[ForeignKey]:
    return [field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]


def leads_to_student(model: type[Model], *before: type[Model]) -> bool:
    """Over any number of foreign keys, which may come back to where they began."""
    return any(
        key.related_model is Student or leads_to_student(key.related_model, model, *before)
        for key in foreign_keys(model)
        if key.related_model not in (model, *before)
    )


def belongs_to_account(model: type[Model], *before: type[Model]) -> bool:
    """Goes with it: a member of staff who only decided something is no owner."""
    return any(
        key.related_model is User or belongs_to_account(key.related_model, model, *before)
        for key in foreign_keys(model)
        if key.remote_field.on_delete is CASCADE and key.related_model not in (model, *before)
    )


def test_every_model_with_a_way_to_a_student_is_listed_or_excepted_with_a_reason() -> None:
    personal = {
        model
        for model in apps.get_models()
        if not model._meta.proxy and (leads_to_student(model) or belongs_to_account(model))
    }
    forgotten = {model._meta.label for model in personal - LISTED} - EXCEPTIONS.keys()
    assert forgotten == set()
    assert {Student, User} <= LISTED


def test_every_model_of_ours_is_listed_or_says_nothing_about_a_student() -> None:
    unlisted = {
        model._meta.label
        for model in apps.get_models()
        if model._meta.app_label in OURS and not model._meta.proxy and model not in LISTED
    }
    assert unlisted == {
        "roster.Room",
        "roster.Course",
        "roster.ClassSession",
        "roster.SessionSeries",
        "roster.Holiday",
        "roster.PeriodLock",  # days, and who of the staff locked them
        "integrations.ExportProfile",  # columns and formats
        "integrations.ExportSchedule",  # when and where to
        "integrations.ExportRun",  # what became of a file; the file itself is listed
        "checkin.SessionClosing",  # counts, and who of the staff closed it
        "recognition.PhotoImport",  # its rows of each student are listed
        "recognition.GalleryEvaluation",  # shares of everybody, and who of the staff asked
        "recognition.IdentificationSetting",  # thresholds, and who of the staff applied them
        "checkin.Kiosk",
        "checkin.PairingCode",  # of a kiosk
        "checkin.JobRun",  # a job and a moment
        "integrations.OutboxHead",  # two numbers
        "integrations.WebhookEndpoint",  # an address, and who of the staff entered it
        "checkin.DigestMarker",  # a time zone and a moment
        "integrations.ApiClient",  # a system, and the account of the staff that it acts as
        "integrations.TokenUse",  # told with its token
    }


def test_every_field_that_points_at_a_student_is_looked_through() -> None:
    looked_through = {(kind.model, lookup) for kind in KINDS for lookup in kind.by_student}
    assert {(model, field) for model, field in references_to_student()} <= looked_through


def test_exceptions_are_of_models_that_exist() -> None:
    for label in EXCEPTIONS:
        apps.get_model(label)


def test_names_are_used_once() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_everything_of_a_person_is_found(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> None:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    found = {kept.kind.name: kept.count for kept in kept_of(Person.of(eileen))}
    assert found == {kind.name: 1 for kind in KINDS} | {"resemblances": 2, "history": 2}


def test_nothing_of_another_person_is_found(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> None:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    found = {kept.kind.name: kept.count for kept in kept_of(Person.of(dmitri)) if kept.count}
    assert found == {"roster_entry": 1, "course_enrolments": 1, "resemblances": 2}


@pytest.mark.django_db
def test_two_students_without_an_address_do_not_share_mails() -> None:
    student = Student.objects.create(student_id="S-7", name="Nobody Knows")
    queue = get_connection("accounts.mail.QueueBackend")
    EmailMessage("Hello", "text", to=["x@example.edu"], connection=queue).send()
    mails = next(kind for kind in KINDS if kind.name == "mails")
    assert not mails.rows(Person.of(student)).exists()
