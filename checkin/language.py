"""In which language a kiosk speaks, whoever is logged in on the same device.

What was chosen on the screen itself wins, then what the desk has set for the kiosk, then what the
browser asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from accounts.language import known_language, spoken
from checkin.models import Kiosk
from checkin.selectors import kiosk_with_token

KIOSK_COOKIE = "kiosk_token"
LANGUAGE_COOKIE = "kiosk_language"

View = Callable[..., HttpResponse]


def kiosk_of(request: HttpRequest) -> Kiosk | None:
    """Whose screen this is; None where the token is missing, unknown or revoked."""
    token = request.COOKIES.get(KIOSK_COOKIE, "")
    kiosk = kiosk_with_token(token) if token else None
    return kiosk if kiosk is not None and kiosk.revoked_at is None else None


def language_at(kiosk: Kiosk | None, request: HttpRequest) -> str:
    chosen = known_language(request.COOKIES.get(LANGUAGE_COOKIE))
    return chosen or known_language(kiosk.language if kiosk else "") or spoken()


def in_language_of_kiosk(view: View) -> View:
    @wraps(view)
    def spoken_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        translation.activate(language_at(kiosk_of(request), request))
        return view(request, *args, **kwargs)

    return spoken_view
