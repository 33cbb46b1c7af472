"""Sign-in through a university's OpenID Connect provider, with real servers on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.core.exceptions import ImproperlyConfigured

from accounts.models import User
from attendance_site.settings import together
from tests.accounts.conftest import PASSWORD
from tests.support.letterbox import Letterbox, mail_server
from tests.support.live_server import free_port, running_server
from tests.support.oidc_provider import OidcProvider, oidc_provider
from tests.support.visitor import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

BUTTON = "/accounts/oidc/university/login/?process=login"
CALLBACK = "/accounts/oidc/university/login/callback/"


@pytest.fixture(scope="module")
def neighbourhood(django_db_setup: None) -> Iterator[tuple[str, OidcProvider, Letterbox]]:
    """The site, the university's provider and a mail server, all running."""
    port = free_port()
    with oidc_provider() as provider, mail_server(port) as box:
        mail = {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "RECOGNITION_WORKERS": "1"}
        with running_server(**mail, **provider.environment) as server:
            yield server.url, provider, box


@pytest.fixture
def site(neighbourhood: tuple[str, OidcProvider, Letterbox]) -> str:
    return neighbourhood[0]


@pytest.fixture
def provider(neighbourhood: tuple[str, OidcProvider, Letterbox]) -> OidcProvider:
    neighbourhood[1].reset()
    return neighbourhood[1]


@pytest.fixture
def letterbox(neighbourhood: tuple[str, OidcProvider, Letterbox]) -> Letterbox:
    neighbourhood[2].mails.clear()
    return neighbourhood[2]


def go_on_with_university(visitor: Visitor, button: str = BUTTON):
    """Press the button and follow the page that leads to the provider and back."""
    visitor.get("/accounts/login/")
    page = visitor.submit(button)
    return visitor.get(link_on(page.text))


def link_on(page: str) -> str:
    return page.split("url=")[1].split('"')[0].replace("&amp;", "&")


def test_the_first_time_signs_up_and_the_second_logs_in(site, provider):
    assert "Go on with University account" in Visitor(site).get("/accounts/signup/").text
    erin = Visitor(site)
    assert go_on_with_university(erin).url == f"{site}/me/"
    user = User.objects.get()
    assert (user.username, user.first_name, user.is_staff) == ("erin", "Erin", False)
    assert EmailAddress.objects.get().verified
    assert not SocialToken.objects.exists()
    assert "access-token" not in str(SocialAccount.objects.values())

    later = Visitor(site)
    assert "erin@example.edu" in go_on_with_university(later).text
    assert User.objects.count() == 1


def test_an_account_with_the_same_address_is_not_taken_over(site, provider, dana):
    provider.person["email"] = "Dana@example.edu"
    visitor = Visitor(site)
    page = go_on_with_university(visitor)
    assert "An account with your address exists already" in page.text
    assert "/accounts/login/" in visitor.get("/me/").url
    assert not SocialAccount.objects.exists()

    visitor.submit(page.url, login="dana", password=PASSWORD)
    connected = go_on_with_university(visitor, BUTTON.replace("=login", "=connect"))
    assert "You can log in with it from now on" in connected.text
    assert SocialAccount.objects.get().user == dana
    assert "Connect University account" not in connected.text
    again = Visitor(site)
    assert "dana@example.edu" in go_on_with_university(again).text


@pytest.mark.parametrize(
    ("verified", "address"),
    # One mail in three minutes goes to an address, so that each case has its own.
    [
        (False, "erin1@example.edu"),
        ("false", "erin2@example.edu"),
        ("true", "erin3@example.edu"),
        (None, "erin4@example.edu"),
    ],
)
def test_an_address_that_is_not_verified_is_asked_for_by_mail(
    site, provider, letterbox, verified, address
):
    provider.person |= {"email": address, "email_verified": verified}
    erin = Visitor(site)
    assert "Check your mail" in go_on_with_university(erin).text
    assert not EmailAddress.objects.get().verified
    erin.submit(letterbox.link("Confirm your e-mail"))
    assert address in erin.get("/me/").text


def test_an_unverified_address_of_another_account_gives_nothing_away(
    site, provider, letterbox, dana
):
    provider.person |= {"email": "dana@example.edu", "email_verified": False}
    visitor = Visitor(site)
    assert "Check your mail" in go_on_with_university(visitor).text
    mail = letterbox.wait_for("You have an account already")
    assert mail["To"] == "dana@example.edu"
    assert User.objects.count() == 1


def test_a_forged_state_and_a_foreign_token_open_nothing(site, provider):
    visitor = Visitor(site)
    page = visitor.submit(BUTTON)
    back = visitor.get(link_on(page.text), allow_redirects=False).headers["Location"]
    assert Visitor(site).get(back).status_code == 401, "the answer to somebody else's question"
    assert visitor.get(f"{CALLBACK}?code=x&state=forged").status_code == 401

    provider.audience = "another-site"
    refused = go_on_with_university(Visitor(site))
    assert "That did not work" in refused.text
    assert not User.objects.exists()


def test_a_provider_that_is_down_is_told_in_words(provider):
    dead = provider.environment | {"OIDC_SERVER_URL": f"http://127.0.0.1:{free_port()}"}
    with running_server(RECOGNITION_WORKERS="1", **dead) as server:
        page = Visitor(server.url).submit(BUTTON)
    assert page.status_code == 503
    assert "That did not work" in page.text


def test_somebody_without_an_address_is_asked_for_one(site, provider, letterbox):
    del provider.person["email"]
    erin = Visitor(site)
    page = go_on_with_university(erin)
    assert "did not tell us everything" in page.text
    sent = erin.submit("/accounts/3rdparty/signup/", username="erin", email="erin@example.edu")
    assert "Check your mail" in sent.text


def test_staff_still_show_the_second_factor(site, provider, alice):
    SocialAccount.objects.create(user=alice, provider="university", uid="u-1")
    alice.authenticator_set.create(type="totp", data={"secret": "sealed"})
    visitor = Visitor(site)
    assert go_on_with_university(visitor).url == f"{site}/accounts/2fa/authenticate/"
    assert "Second factor" in visitor.get("/me/").text


def test_google_and_microsoft_are_asked_with_pkce(db):
    configured = {
        "GOOGLE_CLIENT_ID": "g-id",
        "GOOGLE_CLIENT_SECRET": "g-secret",
        "MICROSOFT_CLIENT_ID": "m-id",
        "MICROSOFT_CLIENT_SECRET": "m-secret",
        "MICROSOFT_TENANT": "the-tenant",
    }
    with running_server(RECOGNITION_WORKERS="1", **configured) as server:
        visitor = Visitor(server.url)
        google = link_on(visitor.submit("/accounts/google/login/").text)
        microsoft = link_on(visitor.submit("/accounts/microsoft/login/").text)
    assert google.startswith("https://accounts.google.com/")
    assert microsoft.startswith("https://login.microsoftonline.com/the-tenant/")
    assert "code_challenge=" in google
    assert "code_challenge=" in microsoft


def test_the_only_way_to_log_in_is_not_removed(site, provider):
    erin = Visitor(site)
    go_on_with_university(erin)
    account = SocialAccount.objects.get()
    page = erin.submit("/accounts/3rdparty/", account=str(account.pk))
    assert "no password" in page.text
    erin.submit("/accounts/password/set/", password1=PASSWORD, password2=PASSWORD)
    page = erin.submit("/accounts/3rdparty/", account=str(account.pk))
    assert "does not log you in any more" in page.text


def test_without_configuration_there_are_no_buttons(client):
    assert "Go on with" not in client.get("/accounts/login/").text
    assert client.get("/accounts/oidc/university/login/").status_code == 404
    assert client.get("/accounts/google/login/").status_code == 404


def test_half_a_configuration_stops_the_start(monkeypatch):
    monkeypatch.setenv("FIRST", "x")
    monkeypatch.delenv("SECOND", raising=False)
    with pytest.raises(ImproperlyConfigured, match=r"Not set: SECOND\. Set all of FIRST, SECOND"):
        together("FIRST", "SECOND")
    monkeypatch.setenv("SECOND", "y")
    assert together("FIRST", "SECOND") == ["x", "y"]


def test_the_desk_shows_no_secrets_of_providers(as_admin):
    for model in ("socialapp", "socialtoken", "socialaccount"):
        assert as_admin.get(f"/admin/socialaccount/{model}/").status_code == 404
