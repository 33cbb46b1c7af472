"""The desk's pages of webhooks: entering, secrets, tests, the log."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.roles import ADMINISTRATOR
from integrations.models import OutboxMessage, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from roster.models import Course
from tests.support.school import a_member

PUBLIC = "https://93.184.216.34/hooks"


@pytest.fixture
def ada(client: Client, db: None, settings: Settings) -> User:
    """An administrator, logged in."""
    user = a_member(ADMINISTRATOR, "ada")
    client.force_login(user)
    return user


def add_page() -> str:
    return reverse("admin:integrations_webhookendpoint_add")


def act(client: Client, name: str, endpoint: WebhookEndpoint) -> object:
    return client.post(
        reverse("admin:integrations_webhookendpoint_changelist"),
        {"action": name, "_selected_action": [endpoint.pk]},
    )


def an_endpoint(ada: User) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(name="HR", url=PUBLIC, owner=ada)


def test_a_new_webhook_shows_its_secret_once(client: Client, ada: User, math: Course) -> None:
    answer = client.post(
        add_page(),
        {"name": "HR", "url": PUBLIC, "kinds": ["attendance.recorded"], "courses": [math.pk]},
    )
    (secret,) = re.findall(r"<code>(whsec_[\w+/=]{44})</code>", answer.content.decode())
    assert "no-store" in answer.headers["Cache-Control"]
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.owner, endpoint.kinds) == (ada, ["attendance.recorded"])
    assert list(endpoint.courses.all()) == [math]
    again = client.get(reverse("admin:integrations_webhookendpoint_change", args=[endpoint.pk]))
    assert again.status_code == 200
    assert "whsec_" not in again.content.decode()
    assert "whsec_" not in " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert not cache.get(secret)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1/hooks", "which is not public"),
        ("https://localhost/hooks", "which is not public"),
        ("https://[::ffff:10.0.0.1]/", "which is not public"),
        ("https://169.254.169.254/latest/meta-data/", "which is not public"),
        ("ftp://93.184.216.34/", "expected an address like"),
    ],
)
def test_an_address_of_the_own_network_is_refused_where_it_is_typed(
    client: Client, ada: User, url: str, why: str
) -> None:
    answer = client.post(add_page(), {"name": "HR", "url": url})
    assert why in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_an_existing_webhook_cannot_be_turned_into_the_own_network(
    client: Client, ada: User
) -> None:
    endpoint = an_endpoint(ada)
    page = reverse("admin:integrations_webhookendpoint_change", args=[endpoint.pk])
    client.post(page, {"name": "HR", "url": "https://10.0.0.1/"})
    endpoint.refresh_from_db()
    assert endpoint.url == PUBLIC


def test_buttons_test_stop_start_and_renew(client: Client, ada: User) -> None:
    endpoint = an_endpoint(ada)
    act(client, "test", endpoint)
    assert OutboxMessage.objects.get().kind == "webhook.test"
    act(client, "stop", endpoint)
    endpoint.refresh_from_db()
    assert endpoint.disabled_reason == "by_hand"
    act(client, "test", endpoint)
    assert WebhookDelivery.objects.count() == 1
    act(client, "start", endpoint)
    endpoint.refresh_from_db()
    assert endpoint.is_active
    page = act(client, "renew_secret", endpoint)
    assert b"whsec_" in page.content  # type: ignore[attr-defined]


def test_the_page_says_until_when_a_receiver_asks_to_be_left_alone(
    client: Client, ada: User
) -> None:
    endpoint = an_endpoint(ada)
    WebhookEndpoint.objects.update(quiet_until=timezone.now() + timedelta(hours=1))
    page = reverse("admin:integrations_webhookendpoint_change", args=[endpoint.pk])
    assert "as the receiver asks" in client.get(page).content.decode()
    # Another address is another receiver.
    client.post(page, {"name": "HR", "url": "https://93.184.216.35/hooks"})
    endpoint.refresh_from_db()
    assert endpoint.quiet_until is None


def test_the_log_shows_answers_as_text_and_sends_again(client: Client, ada: User) -> None:
    endpoint = an_endpoint(ada)
    act(client, "test", endpoint)
    delivery = WebhookDelivery.objects.get()
    WebhookAttempt.objects.create(
        delivery=delivery, status=500, duration_ms=12, said="<script>alert(1)</script>"
    )
    WebhookDelivery.objects.update(
        state="given_up", due_at=None, ended_at=delivery.queued_at, tries=1
    )
    for page in (
        reverse("admin:integrations_webhookdelivery_changelist"),
        reverse("admin:integrations_webhookdelivery_change", args=[delivery.pk]),
        reverse("admin:integrations_webhookendpoint_change", args=[endpoint.pk]),
    ):
        text = client.get(page).content.decode()
        assert "500 in 12 ms" in text
        assert "<script>alert" not in text
    client.post(
        reverse("admin:integrations_webhookdelivery_changelist"),
        {"action": "again", "_selected_action": [delivery.pk]},
    )
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("waiting", 0)


def test_a_webhook_goes_with_its_log(client: Client, ada: User) -> None:
    endpoint = an_endpoint(ada)
    act(client, "test", endpoint)
    page = reverse("admin:integrations_webhookendpoint_delete", args=[endpoint.pk])
    assert client.post(page, {"post": "yes"}).status_code == 302
    assert not WebhookDelivery.objects.exists()
