"""In which language somebody is spoken to.

Pages follow the cookie that a choice leaves in the browser, else what the browser asks for. What
was chosen is kept with the account as well: it comes back at the next login, wherever that is, and
mails are written in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from accounts.client_address import request_of_socket
from accounts.models import User

#: Where a choice before the login waits for the account to which it belongs.
CHOSEN = "chosen_language"

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def language_of(user: User | None) -> str:
    """What an account reads; the site's language for who has none, or never chose."""
    return known_language(user.language if user else "") or settings.LANGUAGE_CODE


def known_language(code: str | None) -> str:
    """The code if this site speaks that language, else an empty text."""
    return code if code in dict(settings.LANGUAGES) else ""


@contextmanager
def in_language_of(user: User | None) -> Iterator[None]:
    """For what is written to somebody who is not there, like a mail: `_()` speaks to them."""
    with translation.override(language_of(user)):
        yield


def keep_language(user: User, language: str) -> None:
    User.objects.filter(pk=user.pk).update(language=language)
    user.language = language


def keep_choice(request: HttpRequest, language: str) -> None:
    """A language was chosen on a page: by an account, or by who is about to log in."""
    if isinstance(request.user, User):
        keep_language(request.user, language)
    else:
        request.session[CHOSEN] = language


def greet(request: HttpRequest, user: User, response: HttpResponse) -> HttpResponse:
    """After a login the pages speak as chosen a moment ago, else as the account did before.

    Who never chose gets mails in the language of the pages on which they logged in.
    """
    chosen = known_language(request.session.pop(CHOSEN, ""))
    if chosen or not known_language(user.language):
        keep_language(user, chosen or spoken())
    if user.language != spoken():
        set_language_cookie(response, user.language)
    return response


def spoken() -> str:
    """The language of this moment."""
    return known_language(translation.get_language()) or settings.LANGUAGE_CODE


def set_language_cookie(response: HttpResponse, language: str) -> None:
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        path=settings.LANGUAGE_COOKIE_PATH,
        domain=settings.LANGUAGE_COOKIE_DOMAIN,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )


def in_language_of_browser(application: Application) -> Application:
    """A websocket speaks as the page that opened it; HTTP has Django's middleware for that."""

    async def spoken_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = request_of_socket(scope)
        with translation.override(translation.get_language_from_request(request)):
            await application(scope, receive, send)

    return spoken_application
