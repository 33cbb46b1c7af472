"""Mail waits in the database until a mail server takes it."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core import mail as django_mail
from django.core.mail.backends.locmem import EmailBackend as LocalMemory
from django.core.management import CommandError, call_command
from django.db import close_old_connections, connections, transaction
from django.utils import timezone
from post_office.models import STATUS, Email

from accounts.mail import Attachment, send_notice, sent_mails_before
from accounts.mail_delivery import CLAIM, MAX_TRIES, deliver_due_mails
from accounts.models import User
from tests.accounts.conftest import PASSWORD
from tests.support.letterbox import mail_server
from tests.support.live_server import free_port, running_server
from tests.support.visitor import Visitor

pytestmark = pytest.mark.django_db


class Slow(LocalMemory):
    """Takes long enough that another process would find the same mails."""

    def send_messages(self, messages: Any) -> int:
        time.sleep(0.01)
        return super().send_messages(messages)


class Refuses(LocalMemory):
    """Takes no mail for nobody@example.edu, and says so with the address."""

    def send_messages(self, messages: Any) -> int:
        if messages[0].to == ["nobody@example.edu"]:
            raise ValueError("refused: nobody@example.edu")
        return super().send_messages(messages)


@pytest.fixture(autouse=True)
def _queue(settings) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    settings.MAIL_TRANSPORT = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture(autouse=True)
def _template(settings, tmp_path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "greeting.txt").write_text("Good day, {{ name }}.\n")
    settings.TEMPLATES = [
        {**settings.TEMPLATES[0], "DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}
    ]


def greet(to: str = "erin@example.edu", name: str = "Erin") -> None:
    send_notice(to=to, subject="Good\nday", template="greeting", context={"name": name})


def test_a_notice_has_the_prefix_the_text_and_the_footer(settings):
    settings.PUBLIC_URL = "https://rollcall.example.edu"
    greet()
    deliver_due_mails()
    [mail] = django_mail.outbox
    assert mail.to == ["erin@example.edu"]
    assert mail.subject == "[Rollcall] Good day"
    assert mail.body.startswith("Good day, Erin.\n\n--\n")
    assert mail.body.endswith("https://rollcall.example.edu")
    assert mail.message()["Message-ID"] == Email.objects.get().message_id


@pytest.mark.parametrize("name", ["O’Neil & 'Sons' <x>", "{{ settings.SECRET_KEY }}", "{% no %}"])
def test_names_reach_the_mail_as_they_are(name):
    greet(name=name)
    deliver_due_mails()
    assert f"Good day, {name}." in django_mail.outbox[0].body


def test_somebody_without_an_address_gets_no_mail():
    greet(to="")
    assert not Email.objects.exists()


def test_a_mail_is_sent_once():
    greet()
    deliver_due_mails()
    deliver_due_mails()
    assert len(django_mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_sends_nothing():
    with transaction.atomic():
        greet()
        transaction.set_rollback(True)
    deliver_due_mails()
    assert django_mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_two_deliverers_at_once_send_each_mail_once(settings):
    settings.MAIL_TRANSPORT = f"{__name__}.Slow"
    for number in range(20):
        greet(to=f"student{number}@example.edu")
    together = threading.Barrier(2)

    def deliver() -> None:
        close_old_connections()
        together.wait()
        deliver_due_mails()
        connections.close_all()

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mail.to[0] for mail in django_mail.outbox) == sorted(
        f"student{number}@example.edu" for number in range(20)
    )
    assert set(Email.objects.values_list("status", flat=True)) == {STATUS.sent}


def test_a_mail_whose_process_died_is_sent_when_its_claim_ends():
    greet()
    Email.objects.update(scheduled_time=timezone.now() + CLAIM)
    deliver_due_mails()
    assert django_mail.outbox == []
    Email.objects.update(scheduled_time=timezone.now())
    deliver_due_mails()
    assert len(django_mail.outbox) == 1


def test_a_refused_mail_holds_up_no_other_and_is_tried_later(settings, caplog):
    settings.MAIL_TRANSPORT = f"{__name__}.Refuses"
    greet(to="nobody@example.edu")
    greet()
    deliver_due_mails()
    assert [mail.to for mail in django_mail.outbox] == [["erin@example.edu"]]
    waiting = Email.objects.get(status=STATUS.requeued)
    assert waiting.scheduled_time > timezone.now() + timedelta(seconds=30)
    assert f"mail {waiting.pk} was not sent: ValueError" in caplog.text
    assert "nobody" not in caplog.text


def test_a_mail_that_is_always_refused_is_given_up(settings):
    settings.MAIL_TRANSPORT = f"{__name__}.Refuses"
    greet(to="nobody@example.edu")
    for _ in range(MAX_TRIES):
        Email.objects.update(scheduled_time=timezone.now())
        deliver_due_mails()
    assert Email.objects.get().status == STATUS.failed


def greet_with(content: Any) -> None:
    send_notice(
        to="nobody@example.edu",
        subject="Good day",
        template="greeting",
        context={"name": "Erin"},
        attachments=[Attachment("note.bin", content, "application/octet-stream")],
    )


def test_what_is_attached_is_kept_encrypted_until_it_was_sent(settings):
    settings.MAIL_TRANSPORT = f"{__name__}.Refuses"
    greet_with(b"a secret \xff")
    deliver_due_mails()
    waiting = Email.objects.get(status=STATUS.requeued)
    assert waiting.context["attachments"][0]["name"] == "note.bin"
    assert "secret" not in str(waiting.context)
    Email.objects.update(scheduled_time=timezone.now())
    settings.MAIL_TRANSPORT = "django.core.mail.backends.locmem.EmailBackend"
    deliver_due_mails()
    assert django_mail.outbox[0].attachments == [
        ("note.bin", b"a secret \xff", "application/octet-stream")
    ]
    assert Email.objects.get().context is None


def test_only_bytes_are_attached():
    with pytest.raises(TypeError, match="got an attachment of str, the queue takes bytes"):
        greet_with("a text")
    assert not Email.objects.exists()


def test_a_mail_server_that_is_down_costs_no_try(settings):
    settings.MAIL_TRANSPORT = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    greet()
    for _ in range(MAX_TRIES + 1):
        with pytest.raises(CommandError, match="the mails wait"):
            call_command("send_queued_mail")
    settings.MAIL_TRANSPORT = "django.core.mail.backends.locmem.EmailBackend"
    call_command("send_queued_mail")
    assert len(django_mail.outbox) == 1


def test_only_what_is_done_with_may_be_deleted():
    greet(to="sent@example.edu")
    deliver_due_mails()
    greet(to="waiting@example.edu")
    now = timezone.now() + timedelta(seconds=1)
    assert [mail.to for mail in sent_mails_before(now)] == [["sent@example.edu"]]
    assert not sent_mails_before(now - timedelta(days=1))


def test_the_desk_shows_no_mails(as_admin):
    assert as_admin.get("/admin/post_office/email/").status_code == 404
    assert not any(model._meta.app_label == "post_office" for model in admin.site._registry)


@pytest.mark.django_db(transaction=True)
def test_a_dead_mail_server_breaks_no_page_and_loses_no_mail(dana: User):
    port = free_port()
    site = {
        "EMAIL_URL": f"smtp://127.0.0.1:{port}",
        "MAIL_RETRY_SECONDS": "1",
        "RECOGNITION_WORKERS": "1",
    }
    with running_server(**site) as server:
        erin = Visitor(server.url)
        answer = erin.submit(
            "/accounts/signup/",
            username="erin",
            email="erin@example.edu",
            password1=PASSWORD,
            password2=PASSWORD,
        )
        assert "Check your mail" in answer.text
        asked = Visitor(server.url).submit("/accounts/password/reset/", email=dana.email)
        assert "Check your mail" in asked.text
        assert Email.objects.filter(status=STATUS.queued).count() == 2

        with mail_server(port) as box:
            erin.submit(box.link("Confirm your e-mail"))
            assert "erin@example.edu" in erin.get("/me/").text
            assert "/password/reset/key/" in box.link("Choose a new password")
            assert len(box.mails) == 2
