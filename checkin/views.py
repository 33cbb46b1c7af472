"""The kiosk's page and its pairing."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.language import known_language
from accounts.limits import use_one
from accounts.logs import bind
from checkin.kiosks.pairing import PairingRefusedError, is_token, pair_device
from checkin.language import KIOSK_COOKIE, LANGUAGE_COOKIE, in_language_of_kiosk
from checkin.models import Kiosk
from checkin.selectors import kiosk_with_token

logger = logging.getLogger(__name__)

KIOSK_COOKIE_MAX_AGE_S = 365 * 24 * 3600
#: One count for everybody: the limit itself is by address.
PAIRING = "kiosk_pairing"


@require_GET
@ensure_csrf_cookie
@in_language_of_kiosk
def kiosk(request: HttpRequest) -> HttpResponse:
    config = {
        "paired": KIOSK_COOKIE in request.COOKIES,
        "socket_path": "/ws/kiosk/",
        "pair_url": reverse("kiosk-pair"),
        "version": settings.APP_VERSION,
    }
    return render(request, "checkin/kiosk.html", {"config": config})


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Of this screen, for everybody who comes to it: no account has to do with it."""
    asked = request.POST.get("next", "")
    page = asked if asked.startswith(reverse("kiosk")) else reverse("kiosk")
    response = redirect(page)
    language = known_language(request.POST.get("language"))
    if language:
        _keep_at_screen(response, LANGUAGE_COOKIE, language)
    return response


@require_http_methods(["GET", "POST"])
@never_cache
@in_language_of_kiosk
def pair(request: HttpRequest) -> HttpResponse:
    """Turn a code, or a token, into a cookie that scripts cannot read.

    Whoever opens the address itself comes to the page with the form; browsers take along what
    stands behind the #.
    """
    if request.method == "GET":
        return redirect("kiosk")
    if not use_one(request, PAIRING, ""):
        logger.warning("a pairing was refused: too many from one address")
        return _refusal(
            "too_many", _("Too many codes were tried here. Try again in five minutes."), status=429
        )
    # `token` is the field's name from before there were codes.
    typed = (request.POST.get("code") or request.POST.get("token") or "").strip()
    return _pair_by_token(typed) if is_token(typed) else _pair_by_code(typed)


def _pair_by_code(code: str) -> HttpResponse:
    try:
        found, token = pair_device(code, at=timezone.now())
    except PairingRefusedError as refusal:
        logger.warning("a pairing was refused: no kiosk waits with this code")
        return _refusal("kiosk_unknown", str(refusal))
    return _paired(found, token)


def _pair_by_token(token: str) -> HttpResponse:
    found = kiosk_with_token(token)
    if found is None:
        logger.warning("a pairing was refused: unknown token")
        return _refusal(
            "kiosk_unknown",
            _("No kiosk has this token. Make a pairing code at the desk, under Kiosks."),
        )
    if found.revoked_at is not None:
        logger.warning("a pairing was refused: kiosk %s is revoked", found.pk)
        return _refusal(
            "kiosk_revoked", _("This kiosk was revoked. Ask an administrator for a new code.")
        )
    return _paired(found, token)


def _paired(found: Kiosk, token: str) -> HttpResponse:
    bind(kiosk=found.pk)
    logger.info("a device was paired with kiosk %s", found.pk)
    response = JsonResponse({"kiosk": found.name})
    _keep_at_screen(response, KIOSK_COOKIE, token)
    return response


def _keep_at_screen(response: HttpResponse, cookie: str, value: str) -> None:
    response.set_cookie(
        cookie,
        value,
        max_age=KIOSK_COOKIE_MAX_AGE_S,
        secure=not settings.DEBUG,
        httponly=True,
        samesite="Strict",
    )


def _refusal(code: str, message: str, *, status: int = 403) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=status)
