"""Who is spoken to in which language: pages, mails, dates and names."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.core import mail
from django.forms import DateField, DateInput
from django.template import Context, Template
from django.test import Client
from django.utils import translation
from django.utils.formats import get_format

from accounts.language import in_language_of
from accounts.models import User
from roster.models import RosterClaim, Student
from roster.services import approve_claim, reject_claim
from tests.support.school import an_account

CHINESE = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9,en;q=0.5"}
PASSWORD = "correct horse battery"


@pytest.fixture
def wei(db: None) -> User:
    """Has an account with a password, and never chose a language."""
    wei = an_account("wei")
    wei.set_password(PASSWORD)
    wei.save()
    return wei


def choose(client: Client, language: str, page: str = "/"):
    return client.post("/language/", {"language": language, "next": page})


def log_in(client: Client):
    return client.post("/accounts/login/", {"login": "wei", "password": PASSWORD})


def speaks(client: Client, language: str, page: str = "/") -> bool:
    response = client.get(page, follow=True)
    assert f'<html lang="{response.headers["Content-Language"]}"' in response.text
    return response.headers["Content-Language"] == language


def test_pages_speak_as_the_browser_asks(client: Client, db: None):
    assert "看一眼，完成考勤" in client.get("/", **CHINESE).text
    assert "Attendance at a glance" in client.get("/").text
    # Of Traditional Chinese we have none; the other script is nearer than English.
    assert "看一眼" in client.get("/", HTTP_ACCEPT_LANGUAGE="zh-TW").text
    assert "at a glance" in client.get("/", HTTP_ACCEPT_LANGUAGE="sw").text


def test_a_choice_wins_over_the_browser_and_is_kept(client: Client, db: None):
    answer = choose(client, "en", "/accounts/login/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/login/")
    assert speaks(Client(**CHINESE), "zh-hans")
    client.defaults.update(CHINESE)
    assert speaks(client, "en")
    assert speaks(client, "en", "/accounts/login/")


def test_a_choice_leads_to_no_other_site_and_to_no_unknown_language(client: Client, db: None):
    assert choose(client, "zh-hans", "https://evil.example/").headers["Location"] == "/"
    choose(client, "tlh")
    assert speaks(client, "zh-hans")
    assert client.get("/language/").status_code == 405
    guarded = Client(enforce_csrf_checks=True)
    assert guarded.post("/language/", {"language": "zh-hans"}).status_code == 403


def test_the_account_brings_its_language_to_another_device(client: Client, wei: User):
    client.force_login(wei)
    choose(client, "zh-hans")
    wei.refresh_from_db()
    assert wei.language == "zh-hans"

    elsewhere = Client()
    assert speaks(elsewhere, "en")
    log_in(elsewhere)
    assert speaks(elsewhere, "zh-hans")


def test_a_choice_on_the_login_page_is_that_of_the_account(client: Client, wei: User):
    choose(client, "zh-hans", "/accounts/login/")
    log_in(client)
    wei.refresh_from_db()
    assert wei.language == "zh-hans"


def test_who_never_chose_gets_mails_in_the_language_of_the_login(client: Client, wei: User):
    client.defaults.update(CHINESE)
    log_in(client)
    wei.refresh_from_db()
    assert wei.language == "zh-hans"
    with in_language_of(wei):
        assert translation.get_language() == "zh-hans"


def test_mails_are_written_for_their_reader_whoever_causes_them(
    wei: User, eileen: Student, dmitri: Student, alice: User, admin: User
):
    """A lecturer who reads English decides on one claim, one who reads Chinese on the other."""
    User.objects.filter(pk=wei.pk).update(language="zh-hans")
    ann = an_account("ann")
    claims = [
        RosterClaim.objects.create(user=user, student=student)
        for user, student in ((wei, eileen), (ann, dmitri))
    ]
    for claim in claims:
        claim.refresh_from_db()
    with translation.override("en"):
        approve_claim(claim=claims[0], decided_by=alice)
    with translation.override("zh-hans"):
        reject_claim(claim=claims[1], decided_by=alice)

    chinese, english = mail.outbox
    assert chinese.subject == "[Rollcall] 您的账号已关联到名册"
    assert "Eileen Collins，您好" in chinese.body
    assert chinese.extra_headers["Content-Language"] == "zh-hans"
    assert english.subject == "[Rollcall] Your account was not linked to the roster"
    assert english.extra_headers["Content-Language"] == "en"


def test_a_forgotten_password_is_answered_in_the_language_of_the_account(client: Client, wei: User):
    User.objects.filter(pk=wei.pk).update(language="zh-hans")
    client.post("/accounts/password/reset/", {"email": wei.email})
    assert "设置新密码" in mail.outbox[0].subject


def test_dates_are_written_as_the_language_does():
    def shown(template: str) -> str:
        words = Template("{% load dates %}" + template)
        return words.render(Context({"at": datetime(2026, 11, 28, 16, 5, tzinfo=UTC)}))

    with translation.override("en"):
        assert shown('{{ at|in_words:"weekday_time" }}') == "Saturday 28 November 2026, 16:05"
        assert shown("{{ at }}") == "28 Nov 2026, 16:05"
    with translation.override("zh-hans"):
        assert shown('{{ at|in_words:"weekday_time" }}') == "2026年11月28日 星期六 16:05"
        assert shown('{{ at|in_words:"short" }}') == "11月28日 星期六"
        assert shown("{{ at }}") == "2026年11月28日 16:05"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_weeks_begin_on_monday_and_fields_with_a_calendar_get_their_date(language):
    with translation.override(language):
        assert get_format("FIRST_DAY_OF_WEEK") == 1
        field = DateField(widget=DateInput(attrs={"type": "date"}), localize=True)
        assert 'value="2026-11-28"' in field.widget.render("day", date(2026, 11, 28))
        assert field.clean("2026-11-28") == date(2026, 11, 28)


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [("Wei", "Chen", "Wei Chen"), ("伟", "陈", "陈伟"), ("Wei", "", "Wei"), ("", "", "")],
)
def test_a_chinese_name_begins_with_the_family(first, last, shown):
    assert User(first_name=first, last_name=last).get_full_name() == shown


def test_manifests_and_kept_pages_speak_as_their_address_says(client: Client, db: None):
    assert client.get("/app.webmanifest?language=zh-hans").json()["lang"] == "zh-hans"
    assert "网络中断" in client.get("/offline/?language=zh-hans").text
    assert "No connection" in client.get("/offline/?language=no-such").text
    client.cookies["django_language"] = "zh-hans"
    assert "/offline/?language=zh-hans" in client.get("/sw.js").text
