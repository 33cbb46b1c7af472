"""OAuth 2.0 as a client library speaks it, over a real socket, and what is refused."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from pytest_django import Settings
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin.retention import purge
from integrations.oauth.models import ApiClient, TokenUse
from integrations.oauth.services import NewSecret, renew_secret
from roster.models import Course, Student
from tests.support.api import API, Api, a_machine, a_token, an_app
from tests.support.school import a_member, logged_in_cookie
from tests.support.traces import tables_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(live_server: Any, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> str:
    """Its address. It speaks plain HTTP here, which client libraries refuse otherwise."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    settings.STAFF_SECOND_FACTOR = False
    return str(live_server.url)


@pytest.fixture
def clerk(db: None) -> User:
    return a_member(REGISTRAR, "clerk")


class Person:
    """Somebody in front of a browser, logged in."""

    def __init__(self, user: User) -> None:
        self._browser = requests.Session()
        self._browser.cookies[django_settings.SESSION_COOKIE_NAME] = logged_in_cookie(user)

    def sees(self, address: str) -> requests.Response:
        return self._browser.get(address, timeout=30)

    def decides(self, address: str, **button: str) -> str:
        """The address to which the browser is sent after the consent page's button."""
        page = self.sees(address)
        assert page.status_code == 200, page.text
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        fields = {name: html.unescape(value) for name, value in fields.items()}
        answer = self._browser.post(
            address, fields | button, headers={"Referer": address}, timeout=30
        )
        found = re.search(r'content="0; url=([^"]+)"', answer.text)
        assert found, answer.text
        return html.unescape(found[1])


def session_of(client: ApiClient, *, scope: list[str] | None = None) -> OAuth2Session:
    return OAuth2Session(
        client.application.client_id,
        redirect_uri=client.application.redirect_uris,
        scope=scope or ["attendance:read", "roster:read"],
        pkce="S256",
    )


def authorised(server: str, user: User, app: ApiClient, secret: NewSecret) -> OAuth2Session:
    """A session of the library, after somebody agreed."""
    session = session_of(app)
    address, _state = session.authorization_url(f"{server}/oauth/authorize/")
    back = Person(user).decides(address, allow="yes")
    session.fetch_token(
        f"{server}/oauth/token/",
        authorization_response=back,
        client_secret=secret.secret or None,
        include_client_id=True,
    )
    return session


# What works


@pytest.mark.django_db(transaction=True)
def test_another_system_gets_a_token_with_its_secret_and_reads(
    server: str, clerk: User, eileen: Student
) -> None:
    _client, secret = a_machine(clerk)
    session = OAuth2Session(client=BackendApplicationClient(secret.client_id))
    token = session.fetch_token(
        f"{server}/oauth/token/", auth=HTTPBasicAuth(secret.client_id, secret.secret)
    )
    assert "refresh_token" not in token
    students = session.get(f"{server}{API}students/").json()["results"]
    assert [student["student_id"] for student in students] == ["S-1"]
    assert session.get(f"{server}{API}me/").json()["username"] == "clerk"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("native", [False, True], ids=["on a server", "on a device"])
def test_an_app_acts_for_somebody_who_agreed_and_keeps_on_by_refreshing(
    server: str, alice: User, math: Course, chem: Course, native: bool
) -> None:
    app, secret = an_app(native=native)
    session = authorised(server, alice, app, secret)
    me = session.get(f"{server}{API}me/").json()
    assert (me["username"], me["scopes"]) == ("alice", ["attendance:read", "roster:read"])
    courses = session.get(f"{server}{API}courses/").json()["results"]
    assert [course["code"] for course in courses] == ["MATH"]

    first = session.token
    second = session.refresh_token(
        f"{server}/oauth/token/",
        client_id=app.application.client_id,
        **({"client_secret": secret.secret} if secret.secret else {}),
    )
    assert second["refresh_token"] != first["refresh_token"]
    assert session.get(f"{server}{API}me/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_used_refresh_token_is_refused_and_ends_what_came_from_it(
    server: str, alice: User
) -> None:
    """One of the two who show it stole it, and nobody can tell which (RFC 9700, 4.14.2)."""
    app, secret = an_app()
    session = authorised(server, alice, app, secret)
    known = {"client_id": app.application.client_id, "client_secret": secret.secret}
    first = session.token["refresh_token"]
    session.refresh_token(f"{server}/oauth/token/", **known)

    thief = OAuth2Session(app.application.client_id)
    with pytest.raises(InvalidGrantError):
        thief.refresh_token(f"{server}/oauth/token/", refresh_token=first, **known)
    with pytest.raises(InvalidGrantError):
        session.refresh_token(f"{server}/oauth/token/", **known)
    assert session.get(f"{server}{API}me/").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_who_refuses_sends_the_app_away_without_a_code(server: str, alice: User) -> None:
    app, _secret = an_app()
    address, _state = session_of(app).authorization_url(f"{server}/oauth/authorize/")
    back = Person(alice).decides(address)
    assert parse_qs(urlsplit(back).query)["error"] == ["access_denied"]
    assert not Grant.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nothing_that_opens_anything_stands_in_the_database(server: str, alice: User) -> None:
    app, secret = an_app()
    session = session_of(app)
    address, _state = session.authorization_url(f"{server}/oauth/authorize/")
    back = Person(alice).decides(address, allow="yes")
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert not tables_with(code)
    session.fetch_token(
        f"{server}/oauth/token/", authorization_response=back, client_secret=secret.secret
    )
    token = session.token
    assert not tables_with(token["access_token"], token["refresh_token"], secret.secret)
    assert tables_with(secret.client_id) == {"oauth2_provider_application"}


# What is refused at the consent page


def consent_for(user: User, client: Client, app: ApiClient, **asked: str | None) -> Any:
    client.force_login(user)
    query = {
        "response_type": "code",
        "client_id": app.application.client_id,
        "redirect_uri": app.application.redirect_uris,
        "scope": "roster:read",
        "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        **asked,
    }
    return client.get(
        "/oauth/authorize/", {name: value for name, value in query.items() if value is not None}
    )


def error_in(answer: Any) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["error"][0]


def test_the_consent_page_says_who_asks_for_what(client: Client, alice: User) -> None:
    page = consent_for(alice, client, an_app()[0]).text
    assert "May “Timetable” act for you?" in page
    assert "See students, courses, class lists, rooms and sessions" in page
    assert "See attendance" not in page


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"scope": "roster:read everything"}, "invalid_scope"),
        ({"scope": "kiosks:read"}, "invalid_scope"),
    ],
    ids=["no PKCE", "plain", "plain by default", "implicit", "unknown scope", "foreign scope"],
)
def test_what_is_not_as_agreed_goes_back_as_an_error(
    client: Client, alice: User, asked: dict[str, str | None], error: str
) -> None:
    app, _secret = an_app(scopes=["roster:read", "attendance:read"])
    answer = consent_for(alice, client, app, **asked)
    if answer.status_code == 200:  # it is refused when the code would be made
        fields = dict(
            re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
        )
        fields.pop("csrfmiddlewaretoken", None)
        answer = client.post(
            "/oauth/authorize/",
            {name: html.unescape(value) for name, value in fields.items()} | {"allow": "yes"},
        )
        found = re.search(r'content="0; url=([^"]+)"', answer.text)
        assert found, answer.text
        assert parse_qs(urlsplit(html.unescape(found[1])).query)["error"] == [error]
    else:
        assert error_in(answer) == error
    assert not Grant.objects.exists()


@pytest.mark.parametrize(
    "asked",
    [{"redirect_uri": "https://thief.example/back"}, {"client_id": "unknown"}],
    ids=["another address", "unknown client"],
)
def test_whoever_may_be_somebody_else_is_not_sent_anywhere(
    client: Client, alice: User, asked: dict[str, str]
) -> None:
    answer = consent_for(alice, client, an_app()[0], **asked)
    assert answer.status_code == 400
    assert "This app cannot go on" in answer.text


def test_staff_show_their_second_factor_before_they_agree(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = True
    app, _secret = an_app()
    assert consent_for(alice, client, app).url == "/accounts/2fa/"
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "sealed"})
    assert consent_for(alice, client, app).url.startswith("/accounts/2fa/reauthenticate/")


def test_nobody_agrees_without_logging_in(client: Client, db: None) -> None:
    app, _secret = an_app()
    answer = client.get("/oauth/authorize/", {"client_id": app.application.client_id})
    assert answer.url.startswith("/accounts/login/")


# What is refused at the token endpoint


def asked_for_token(client: Client, **body: str) -> Any:
    return client.post("/oauth/token/", body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"grant_type": "client_credentials", "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "client_credentials", "scope": "roster:write"}, "invalid_scope"),
        ({"grant_type": "authorization_code", "code": "x"}, "unauthorized_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
    ],
    ids=lambda value: value["grant_type"] if isinstance(value, dict) else "",
)
def test_a_system_gets_nothing_beyond_what_it_was_registered_for(
    client: Client, clerk: User, body: dict[str, str], error: str
) -> None:
    _machine, secret = a_machine(clerk, scopes=["roster:read"])
    known = {"client_id": secret.client_id, "client_secret": secret.secret}
    answer = asked_for_token(client, **(known | body))
    assert answer.json()["error"] == error
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("password", ["correct horse battery", "wrong"])
def test_a_password_brings_no_token_and_is_not_even_tried(
    client: Client, alice: User, password: str
) -> None:
    alice.set_password("correct horse battery")
    alice.save()
    _app, secret = an_app()
    answer = asked_for_token(
        client,
        grant_type="password",
        username="alice",
        password=password,
        client_id=secret.client_id,
        client_secret=secret.secret,
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_client_that_is_switched_off_gets_no_token(client: Client, clerk: User) -> None:
    _machine, secret = a_machine(clerk)
    ApiClient.objects.update(disabled_at=timezone.now())
    answer = asked_for_token(
        client,
        grant_type="client_credentials",
        client_id=secret.client_id,
        client_secret=secret.secret,
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_too_many_requests_for_tokens_are_told_to_wait(
    client: Client, clerk: User, settings: Settings
) -> None:
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "oauth_token": "2/m/ip"}
    answers = [asked_for_token(client, grant_type="client_credentials") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[-1].headers["Retry-After"] == "60"


# What is refused at the API


def refused(answer: Any) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["code"], answer.headers.get("WWW-Authenticate", "")


def test_a_token_without_the_scope_is_told_which_one_is_missing(clerk: User) -> None:
    machine, _secret = a_machine(clerk)
    status, code, challenge = refused(
        Api(a_token(machine, scopes=["roster:read"])).get("attendance/")
    )
    assert (status, code) == (403, "insufficient_scope")
    assert 'error="insufficient_scope", scope="attendance:read"' in challenge


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token, machine, clerk: AccessToken.objects.update(
            expires=timezone.now() - timedelta(seconds=1)
        ),
        lambda token, machine, clerk: AccessToken.objects.all().delete(),
        lambda token, machine, clerk: ApiClient.objects.update(disabled_at=timezone.now()),
        lambda token, machine, clerk: User.objects.filter(pk=clerk.pk).update(is_active=False),
        lambda token, machine, clerk: ApiClient.objects.update(service_account=None),
        lambda token, machine, clerk: AccessToken.objects.update(
            resource=["https://other.example"]
        ),
        lambda token, machine, clerk: renew_secret(machine),
    ],
    ids=[
        "expired",
        "revoked",
        "switched off",
        "account off",
        "no account",
        "other resource",
        "new secret",
    ],
)
def test_a_token_that_does_not_count_any_more_is_refused(
    clerk: User, spoil: Callable[..., Any]
) -> None:
    machine, _secret = a_machine(clerk)
    token = a_token(machine)
    assert Api(token).get("me/").status_code == 200
    spoil(token, machine, clerk)
    status, code, challenge = refused(Api(token).get("me/"))
    assert (status, code) == (401, "invalid_token")
    assert 'error="invalid_token"' in challenge


@pytest.mark.parametrize("token", ["unknown", "a.b.c", "a b"])
def test_the_header_is_english_where_the_answer_is_not(db: None, token: str) -> None:
    english = Api(token).get("me/", accept_language="en")
    chinese = Api(token).get("me/", accept_language="zh-hans")
    detail = english.json()["detail"]
    assert f'error_description="{detail}"' in refused(english)[2]
    assert refused(chinese)[2] == refused(english)[2]
    assert chinese.json()["detail"] != detail


@pytest.mark.parametrize(
    "header", ["Bearer unknown", "Bearer", "Bearer a b", "Basic YTpi", "Bearer a.b.c", "x"]
)
def test_what_is_no_token_is_refused(db: None, header: str) -> None:
    assert Api().get("me/", authorization=header).status_code == 401


def test_a_scope_that_the_client_lost_is_lost_by_its_tokens(clerk: User) -> None:
    machine, _secret = a_machine(clerk)
    token = a_token(machine)
    ApiClient.objects.update(scopes=["roster:read"])
    assert Api(token).get("attendance/").status_code == 403
    assert Api(token).get("students/").status_code == 200


def test_a_token_in_the_address_is_not_read(clerk: User) -> None:
    machine, _secret = a_machine(clerk)
    assert Api().get("me/", {"access_token": a_token(machine)}).status_code == 401


def test_an_app_of_somebody_who_came_to_work_here_waits_for_the_second_factor(
    alice: User, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = True
    app, _secret = an_app()
    api = Api(a_token(app, user=alice))
    assert api.get("me/").status_code == 401
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "sealed"})
    assert api.get("me/").status_code == 200


# Revocation, introspection, last use


def test_a_client_revokes_its_own_token_and_no_other(client: Client, clerk: User) -> None:
    mine, secret = a_machine(clerk, name="Mine")
    other, _secret = a_machine(clerk, name="Other")
    own, foreign = a_token(mine), a_token(other)
    known = {"client_id": secret.client_id, "client_secret": secret.secret}
    for token in (own, foreign):
        assert client.post("/oauth/revoke/", known | {"token": token}).status_code == 200
    assert Api(own).get("me/").status_code == 401
    assert Api(foreign).get("me/").status_code == 200


def test_a_client_asks_after_its_own_tokens_and_hears_of_no_other(
    client: Client, clerk: User
) -> None:
    mine, secret = a_machine(clerk, name="Mine")
    other, _secret = a_machine(clerk, name="Other")
    known = {"client_id": secret.client_id, "client_secret": secret.secret}

    def told(token: str) -> Any:
        return client.post("/oauth/introspect/", known | {"token": token}).json()

    own = told(a_token(mine, scopes=["roster:read"]))
    assert (own["active"], own["scope"], own["username"]) == (True, "roster:read", "clerk")
    assert told(a_token(mine, expires=timezone.now())) == {"active": False}
    assert told(a_token(other)) == {"active": False}
    assert told("unknown") == {"active": False}


def test_introspection_wants_a_client_that_proves_itself(client: Client, clerk: User) -> None:
    app, native = an_app(native=True)
    for known in ({}, {"client_id": "x", "client_secret": "y"}, {"client_id": native.client_id}):
        answer = client.post("/oauth/introspect/", known | {"token": a_token(app, user=clerk)})
        assert answer.status_code == 401
    assert client.get("/oauth/introspect/").status_code == 405


def test_last_use_is_written_down_once_a_minute(clerk: User) -> None:
    machine, _secret = a_machine(clerk)
    api = Api(a_token(machine))
    api.get("me/")
    first = TokenUse.objects.get().last_used_at
    api.get("me/")
    assert TokenUse.objects.get().last_used_at == first
    cache.clear()
    api.get("me/")
    machine.refresh_from_db()
    assert first < TokenUse.objects.get().last_used_at == machine.last_used_at


def test_clients_find_the_addresses_and_what_is_offered(client: Client, db: None) -> None:
    told = client.get("/.well-known/oauth-authorization-server").json()
    assert told["token_endpoint"] == "http://testserver/oauth/token/"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["response_types_supported"] == ["code"]
    assert "password" not in told["grant_types_supported"]
    assert "roster:write" in told["scopes_supported"]


def test_what_ran_out_is_deleted_and_used_refresh_tokens_are_kept_to_notice_copies(
    clerk: User, alice: User
) -> None:
    machine, _secret = a_machine(clerk)
    app, _secret = an_app()
    now = timezone.now()
    a_token(machine, expires=now - timedelta(minutes=1))
    kept = a_token(machine)
    for used_days_ago in (29, 31):
        RefreshToken.objects.create(
            application=app.application,
            user=alice,
            token="",
            token_checksum=str(used_days_ago),
            revoked=now - timedelta(days=used_days_ago),
        )
    Grant.objects.create(
        application=app.application, user=alice, code="hash", expires=now - timedelta(minutes=1)
    )
    purge(now)
    assert AccessToken.objects.count() == 1
    assert Api(kept).get("me/").status_code == 200
    assert RefreshToken.objects.count() == 1
    assert not Grant.objects.exists()
