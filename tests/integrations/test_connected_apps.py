"""Whoever agreed to an app, or logged in with one, sees it and ends it without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from accounts.models import User
from checkin.retention import purge
from integrations.oauth.selectors import connected_apps
from integrations.oauth.services import disconnect
from integrations.oauth.validator import Validator, hash_code
from tests.support.api import an_app
from tests.support.school import an_account

pytestmark = pytest.mark.django_db

ASKED = "roster:read attendance:read"
Tokens = dict[str, Any]


@pytest.fixture
def dana(db: None) -> User:
    return an_account("dana")


class App:
    """An app on a server, as it comes to the token endpoint."""

    def __init__(self, name: str = "Timetable") -> None:
        self.client, secret = an_app(name=name)
        self._known = {"client_id": secret.client_id, "client_secret": secret.secret}

    def code_of(self, user: User, *, scope: str = ASKED) -> dict[str, str]:
        """What the consent page sends it back with, after somebody agreed."""
        code, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        application = self.client.application
        digest = hashlib.sha256(verifier.encode()).digest()
        Grant.objects.create(
            user=user,
            application=application,
            code=hash_code(code),
            expires=timezone.now() + timedelta(minutes=1),
            redirect_uri=application.redirect_uris,
            scope=scope,
            code_challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            code_challenge_method="S256",
        )
        return {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": application.redirect_uris,
        }

    def asks(self, body: dict[str, str]) -> Tokens:
        answer: Tokens = Client().post("/oauth/token/", self._known | body).json()
        return answer

    def tokens_of(self, user: User, *, scope: str = ASKED) -> Tokens:
        return self.asks(self.code_of(user, scope=scope))

    def renews(self, tokens: Tokens) -> Tokens:
        return self.asks({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})


def test_two_devices_with_one_app_are_one_row_with_everything_that_it_may(dana: User) -> None:
    app = App()
    app.tokens_of(dana, scope="roster:read")
    app.tokens_of(dana, scope="attendance:read")
    [found] = connected_apps(dana, at=timezone.now())
    assert [str(told) for told in found.may] == [
        "See students, courses, class lists, rooms and sessions",
        "See attendance",
    ]


def test_since_when_is_known_after_months_of_renewing(dana: User) -> None:
    app = App()
    tokens = app.tokens_of(dana)
    agreed_at = timezone.now() - timedelta(days=90)
    RefreshToken.objects.update(created=agreed_at)
    for days_ago in (80, 40):
        tokens = app.renews(tokens)
        used_at = timezone.now() - timedelta(days=days_ago)
        RefreshToken.objects.exclude(revoked=None).update(revoked=used_at)
    purge(timezone.now())
    assert RefreshToken.objects.count() == 2  # the first one and the one that counts
    [found] = connected_apps(dana, at=timezone.now())
    assert found.since == agreed_at
    assert found.last_used_at == RefreshToken.objects.get(revoked=None).created

    disconnect(app.client, user=dana)
    purge(timezone.now() + timedelta(days=31))
    assert not RefreshToken.objects.exists()


# At the same moment


@pytest.mark.parametrize("what", ["code", "refresh token"])
def test_tokens_that_are_being_made_are_not_made_any_more(
    monkeypatch: pytest.MonkeyPatch, dana: User, what: str
) -> None:
    app = App()
    tokens, under_way = app.tokens_of(dana), app.code_of(dana)
    save = Validator.save_bearer_token

    def save_too_late(self: Validator, *args: Any, **kwargs: Any) -> None:
        disconnect(app.client, user=dana)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Validator, "save_bearer_token", save_too_late)
    answer = app.asks(under_way) if what == "code" else app.renews(tokens)
    assert answer == {"error": "invalid_grant"}
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.filter(revoked=None).exists()
