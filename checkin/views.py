"""The kiosk's page and its pairing."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from checkin.selectors import kiosk_with_token

logger = logging.getLogger(__name__)

KIOSK_COOKIE = "kiosk_token"
KIOSK_COOKIE_MAX_AGE_S = 365 * 24 * 3600


@require_GET
@ensure_csrf_cookie
def kiosk(request: HttpRequest) -> HttpResponse:
    config = {
        "paired": KIOSK_COOKIE in request.COOKIES,
        "socket_path": "/ws/kiosk/",
        "pair_url": reverse("kiosk-pair"),
    }
    return render(request, "checkin/kiosk.html", {"config": config})


@require_POST
def pair(request: HttpRequest) -> HttpResponse:
    """Turn a token into a cookie that scripts cannot read."""
    token = request.POST.get("token", "").strip()
    found = kiosk_with_token(token) if token else None
    if found is None:
        logger.warning("a pairing was refused: unknown token")
        return _refusal(
            "kiosk_unknown",
            _("No kiosk has this code. Copy the whole code that was shown when it was created."),
        )
    if found.revoked_at is not None:
        logger.warning("a pairing was refused: kiosk %s is revoked", found.pk)
        return _refusal(
            "kiosk_revoked", _("This kiosk was revoked. Ask an administrator for a new code.")
        )
    response = JsonResponse({"kiosk": found.name})
    response.set_cookie(
        KIOSK_COOKIE,
        token,
        max_age=KIOSK_COOKIE_MAX_AGE_S,
        secure=not settings.DEBUG,
        httponly=True,
        samesite="Strict",
    )
    return response


def _refusal(code: str, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=403)
