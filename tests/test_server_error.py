"""What a page says when something broke, and when something is away for a moment."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import path

from attendance_site import urls

AWAY = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    }
}


def broken(request: object) -> None:
    raise ValueError("a fault of ours")


urlpatterns = [*urls.urlpatterns, path("broken/", broken)]
handler500 = urls.handler500


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.django_db
def test_while_redis_is_away_the_login_says_so_and_when_to_try_again(browser, settings):
    settings.CACHES = AWAY
    page = browser.post("/accounts/login/", {"login": "eileen", "password": "wrong"})
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "5"
    assert "Back in a moment" in page.content.decode()


@pytest.mark.urls("tests.test_server_error")
def test_a_fault_of_ours_is_told_as_one(browser):
    page = browser.get("/broken/")
    assert page.status_code == 500
    assert "Something went wrong" in page.content.decode()
    assert "Retry-After" not in page.headers
