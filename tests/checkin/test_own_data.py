"""A student takes away everything that is kept, and nothing of anybody else."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from checkin.models import Kiosk
from checkin.people.kinds import KINDS
from roster.models import ClassSession, Student
from tests.support.whole_life import JPEG, an_account_of, live_a_whole_life

PAGES = [("get", "own_data"), ("post", "own_data_zip"), ("post", "own_data_json")]


@pytest.fixture
def eileen_with_everything(
    eileen: Student, dmitri: Student, math_session: ClassSession, kiosk: Kiosk, admin: User
) -> Student:
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    return eileen


@pytest.fixture
def as_eileen(client: Client, eileen_with_everything: Student) -> Client:
    assert eileen_with_everything.user is not None
    client.force_login(eileen_with_everything.user)
    return client


def as_json(client: Client) -> dict[str, list[dict[str, object]]]:
    return json.loads(client.post(reverse("own_data_json")).content)


def as_zip(client: Client) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(client.post(reverse("own_data_zip")).content))


def table(archive: zipfile.ZipFile, kind: str) -> list[dict[str, str]]:
    text = archive.read(f"tables/{kind}.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_json_has_every_kind_with_its_rows(as_eileen: Client) -> None:
    content = as_json(as_eileen)
    assert list(content) == ["about", *(kind.name for kind in KINDS)]
    assert all(content[kind.name] for kind in KINDS)
    assert content["roster_entry"] == [
        {"student_number": "S-1", "name": "Eileen Collins", "email": "eileen@example.edu"}
    ]
    assert content["account"][0]["username"] == "eileen"
    attempt = content["check_in_attempts"][0]
    assert (attempt["similarity"], attempt["threshold"], attempt["kiosk"]) == (
        0.97,
        0.93,
        "Door of 101",
    )
    assert content["face_templates"][0]["numbers_in_vector"] == 128


def test_every_cell_has_a_value_where_the_row_has_one(as_eileen: Client) -> None:
    """A column that is misspelt would be an error, one of a missing row is empty."""
    content = as_json(as_eileen)
    assert content["attendance"][0]["course"] == "MATH"
    assert content["mails"][0]["status"] == "queued"
    assert content["history"][0]["on"] in ("student", "courseenrolment")
    assert content["photo_imports"][0]["name_of_file"] == "S-1.png"
    assert content["claims"][0]["by"] == "you"


def test_times_have_their_zone(as_eileen: Client) -> None:
    arrived = as_json(as_eileen)["attendance"][0]["arrived_at"]
    assert datetime.fromisoformat(str(arrived)).tzinfo is not None


def test_the_tables_say_the_same_as_the_json(as_eileen: Client) -> None:
    archive, content = as_zip(as_eileen), as_json(as_eileen)
    for kind in KINDS:
        rows = table(archive, kind.name)
        assert len(rows) == len(content[kind.name]), kind.name
        assert list(rows[0]) == list(content[kind.name][0])
    assert table(archive, "attendance")[0]["status"] == "present"
    assert json.loads(archive.read("everything.json"))["attendance"] == content["attendance"]


def test_waiting_pictures_are_in_the_zip_as_pictures(as_eileen: Client) -> None:
    archive = as_zip(as_eileen)
    named = [table(archive, kind)[0]["file"] for kind in ("pictures", "photo_imports")]
    assert [archive.read(name) for name in named] == [JPEG, JPEG]
    assert named[0].endswith(".jpg")
    assert named[1].endswith(".png")


def test_secrets_vectors_and_other_people_are_left_out(
    as_eileen: Client, eileen_with_everything: Student
) -> None:
    archive = as_zip(as_eileen)
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode(
        "utf-8", "replace"
    )
    user = eileen_with_everything.user
    assert user is not None
    template = eileen_with_everything.face_templates.get()
    for private in (
        user.password,
        "a secret of hers",
        bytes(template.sealed_vector).decode(),
        "Dmitri",
        "S-2",
        "dmitri@example.edu",
        "admin",
    ):
        assert private not in everything, private


def test_what_is_left_out_is_said(as_eileen: Client) -> None:
    about = json.loads(as_eileen.post(reverse("own_data_json")).content)["about"]
    assert set(about["left_out"]) >= {"account", "face_templates", "resemblances", "mails"}
    readme = as_zip(as_eileen).read("README.txt").decode()
    assert str(about["left_out"]["resemblances"]) in readme


def test_a_cell_that_a_spreadsheet_would_run_is_made_text(
    as_eileen: Client, eileen_with_everything: Student
) -> None:
    Student.objects.filter(pk=eileen_with_everything.pk).update(name="=cmd|' /C calc'!A0")
    assert table(as_zip(as_eileen), "roster_entry")[0]["name"] == "'=cmd|' /C calc'!A0"


@pytest.mark.parametrize(("method", "page"), PAGES)
def test_nothing_of_it_is_kept_by_a_browser(as_eileen: Client, method: str, page: str) -> None:
    response = getattr(as_eileen, method)(reverse(page))
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(("method", "page"), PAGES)
def test_nobody_gets_it_without_logging_in(
    client: Client, db: None, method: str, page: str
) -> None:
    assert reverse("account_login") in getattr(client, method)(reverse(page)).headers["Location"]


@pytest.mark.parametrize(("method", "page"), PAGES)
def test_an_account_without_a_student_is_sent_to_claim_one(
    client: Client, db: None, method: str, page: str
) -> None:
    client.force_login(User.objects.create_user("erin", "erin@example.edu"))
    assert getattr(client, method)(reverse(page)).headers["Location"] == reverse("roster_claim")


def test_another_student_gets_only_the_own(
    client: Client, eileen_with_everything: Student, dmitri: Student
) -> None:
    client.force_login(an_account_of(dmitri, "dmitri"))
    content = client.post(reverse("own_data_json")).content.decode()
    assert "dmitri@example.edu" in content
    assert "S-1" not in content
    assert "Eileen" not in content


def test_taking_it_again_and_again_is_limited(as_eileen: Client) -> None:
    for _again in range(10):
        assert as_eileen.post(reverse("own_data_json")).status_code == 200
    refused = as_eileen.post(reverse("own_data_zip"))
    assert refused.status_code == 429
    assert "Try again in an hour" in refused.content.decode()
    assert as_eileen.get(reverse("own_data")).status_code == 200
