"""Whoever agreed to an app, or logged in with one, sees it and ends it without asking anybody."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from accounts.models import User
from checkin.retention import purge
from integrations.app_logins.models import AppLogin
from integrations.app_logins.services import Pair
from integrations.app_logins.tokens import AppRefreshToken
from integrations.oauth.models import ApiClient, TokenUse
from integrations.oauth.selectors import connected_apps
from integrations.oauth.services import disconnect
from integrations.oauth.validator import Validator, hash_code
from tests.support.api import Api, a_machine, a_token, an_app
from tests.support.school import an_account, utc

pytestmark = pytest.mark.django_db

PAGE = "/me/apps/"
ASKED = "roster:read attendance:read"
Tokens = dict[str, Any]


@pytest.fixture
def dana(db: None) -> User:
    return an_account("dana")


@pytest.fixture
def erin(db: None) -> User:
    return an_account("erin")


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


def works(tokens: Tokens | Pair) -> bool:
    access = tokens.access if isinstance(tokens, Pair) else tokens["access_token"]
    answer = Api(access).get("me/")
    assert answer.status_code == 200 or answer.json()["code"] == "invalid_token"
    return answer.status_code == 200


def a_login(user: User, app: str = "rollcall-cli") -> tuple[AppLogin, Pair]:
    login = AppLogin.objects.create(
        user=user, app=app, expires_at=timezone.now() + timedelta(days=30)
    )
    token = AppRefreshToken.of(login)
    return login, Pair(str(token.access_token), str(token), expires_in=600)


def seen_by(user: User, client: Client) -> str:
    client.force_login(user)
    return client.get(PAGE).text


def press(user: User, name: str, row: ApiClient | AppLogin) -> Any:
    client = Client()
    client.force_login(user)
    return client.post(reverse(name, args=[row.pk]), follow=True)


# What is seen


def test_the_page_is_reached_from_the_account_and_says_when_there_is_nothing(
    client: Client, dana: User
) -> None:
    client.force_login(dana)
    assert f'href="{PAGE}"' in client.get("/me/").text
    page = client.get(PAGE)
    assert "No app is connected." in page.text
    assert "Disconnect" not in page.text


def test_nobody_sees_it_without_logging_in(client: Client, db: None) -> None:
    assert client.get(PAGE).url == f"/accounts/login/?next={PAGE}"


def test_an_app_is_listed_with_what_it_may_in_words_and_since_when(
    client: Client, dana: User
) -> None:
    App().tokens_of(dana)
    RefreshToken.objects.update(created=utc(2026, 11, 3, 9, 30))
    page = seen_by(dana, client)
    assert "Timetable" in page
    assert "See students, courses, class lists, rooms and sessions" in page
    assert "See attendance" in page
    assert "Mark attendance by hand" not in page
    assert "Connected 3 Nov 2026, 09:30" in page
    assert "Not used yet" in page


def test_its_last_use_is_told(client: Client, dana: User) -> None:
    assert works(App().tokens_of(dana))
    TokenUse.objects.update(last_used_at=utc(2026, 11, 4, 8, 15))
    assert "Last used 4 Nov 2026, 08:15" in seen_by(dana, client)


def test_a_log_in_is_listed_with_its_times(client: Client, dana: User) -> None:
    a_login(dana, "Phone of Dana")
    AppLogin.objects.update(made_at=utc(2026, 11, 3, 9, 30), last_used_at=utc(2026, 11, 4, 8, 15))
    page = seen_by(dana, client)
    assert "Phone of Dana" in page
    assert "Logged in 3 Nov 2026, 09:30" in page
    assert "Last used 4 Nov 2026, 08:15" in page


def test_nobody_sees_what_others_agreed_to_or_what_acts_without_a_person(
    client: Client, dana: User, erin: User
) -> None:
    App().tokens_of(erin)
    a_login(erin)
    machine, _secret = a_machine(dana)
    a_token(machine)
    assert "No app is connected." in seen_by(dana, client)


@pytest.mark.parametrize(("days", "listed"), [(0, True), (31, False)])
def test_an_app_is_listed_as_long_as_it_could_renew_its_tokens(
    client: Client, dana: User, days: int, listed: bool
) -> None:
    App().tokens_of(dana)
    AccessToken.objects.update(expires=timezone.now() - timedelta(days=days, minutes=1))
    assert ("Timetable" in seen_by(dana, client)) == listed


def test_a_log_in_that_ran_out_is_not_listed(client: Client, dana: User) -> None:
    a_login(dana)
    AppLogin.objects.update(expires_at=timezone.now())
    assert "No app is connected." in seen_by(dana, client)


def test_a_scope_that_the_app_lost_is_not_told(client: Client, dana: User) -> None:
    App().tokens_of(dana)
    ApiClient.objects.update(scopes=[], disabled_at=timezone.now())
    page = seen_by(dana, client)
    assert "It learns who you are, and no more." in page
    assert "Switched off by an administrator" in page


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


# Ending it


def test_whoever_disconnects_an_app_leaves_it_nothing(
    client: Client, dana: User, erin: User
) -> None:
    app, other_app = App(), App("Other")
    first = app.tokens_of(dana)
    second = app.tokens_of(dana)
    under_way = app.code_of(dana)
    of_others = [(app, app.tokens_of(erin)), (other_app, other_app.tokens_of(dana))]
    assert works(first)
    assert works(second)

    answer = press(dana, "disconnect_own_app", app.client)
    assert answer.redirect_chain == [(PAGE, 302)]
    assert "“Timetable” is disconnected." in answer.text

    for tokens in (first, second):
        assert not works(tokens)
        assert app.renews(tokens)["error"] == "invalid_grant"
    assert app.asks(under_way)["error"] == "invalid_grant"
    for its, tokens in of_others:
        assert works(tokens)
        assert works(its.renews(tokens))


def test_an_app_that_was_disconnected_can_be_allowed_again(dana: User) -> None:
    app = App()
    app.tokens_of(dana)
    press(dana, "disconnect_own_app", app.client)
    RefreshToken.objects.update(created=utc(2026, 1, 1))
    assert works(app.tokens_of(dana))
    [found] = connected_apps(dana, at=timezone.now())
    assert found.since > utc(2026, 1, 1)


def test_whoever_ends_a_log_in_leaves_it_nothing(dana: User, erin: User) -> None:
    login, pair = a_login(dana)
    _other_login, other_pair = a_login(dana)
    assert works(pair)
    answer = press(dana, "end_own_login", login)
    assert answer.redirect_chain == [(PAGE, 302)]
    assert "“rollcall-cli” is logged out." in answer.text
    assert not works(pair)
    renewed = Api().write("POST", "log-in/renew/", {"refresh": pair.refresh})
    assert (renewed.status_code, renewed.json()["code"]) == (401, "login_refused")
    assert works(other_pair)


def test_a_second_press_says_the_same(dana: User) -> None:
    app = App()
    app.tokens_of(dana)
    login, _tokens = a_login(dana)
    for name, row in (("disconnect_own_app", app.client), ("end_own_login", login)):
        for _ in range(2):
            assert press(dana, name, row).status_code == 200


def test_what_belongs_to_others_is_not_there(dana: User, erin: User) -> None:
    app = App()
    tokens = app.tokens_of(erin)
    login, pair = a_login(erin)
    assert press(dana, "disconnect_own_app", app.client).status_code == 404
    assert press(dana, "end_own_login", login).status_code == 404
    assert works(tokens)
    assert works(pair)


@pytest.mark.parametrize("name", ["disconnect_own_app", "end_own_login"])
def test_nothing_is_ended_by_a_link_or_by_nobody(client: Client, dana: User, name: str) -> None:
    address = reverse(name, args=[1])
    assert client.post(address).url.startswith("/accounts/login/")
    client.force_login(dana)
    assert client.get(address).status_code == 405


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
