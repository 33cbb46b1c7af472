"""The kiosk's page on which a student looks up the own record."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.limits import has_some_left, use_one
from checkin.frames import FRAME_LIMITS
from checkin.language import in_language_of_kiosk, kiosk_of
from checkin.look_up.services import LookUpRefusedError, as_shown, is_pass, look_up
from recognition.engine.images import MAX_FRAME_BYTES
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from recognition.workers import worker_pool

logger = logging.getLogger(__name__)

SHOW_MS = 20_000
#: Who stops typing has gone, and leaves no number behind.
IDLE_MS = 30_000
READ_TIMEOUT_S = 10
MAX_NUMBER_LENGTH = 64

FRAMES, WRONG = "look_up_frame", "look_up_wrong"


@require_safe
@never_cache
@in_language_of_kiosk
def look_up_page(request: HttpRequest) -> HttpResponse:
    if kiosk_of(request) is None:
        return redirect("kiosk")
    config = {
        "read_url": reverse("kiosk-look-up-read"),
        "kiosk_url": reverse("kiosk"),
        "frame": {**FRAME_LIMITS, "width": 960, "height": 720},
        "show_ms": SHOW_MS,
        "idle_ms": IDLE_MS,
    }
    return render(request, "checkin/look_up.html", {"config": config})


@require_POST
@never_cache
@in_language_of_kiosk
def read_pass(request: HttpRequest) -> HttpResponse:
    """One picture of the camera and the number that was typed; the record, once both agree."""
    kiosk = kiosk_of(request)
    if kiosk is None:
        text = _("This screen is no kiosk any more. Pair it again.")
        return JsonResponse({"state": "refused", "message": text}, status=403)
    key = str(kiosk.pk)
    if not has_some_left(request, WRONG, key):
        return _answer("paused", _("Too many wrong passes here. Try again in ten minutes."))
    if not use_one(request, FRAMES, key):
        return _answer("looking", _("One moment"))
    number = request.POST.get("number", "")[:MAX_NUMBER_LENGTH]
    payload = _code_in(request)
    if payload is None:
        return _answer("looking", _("Hold your pass before the camera"))
    if not is_pass(payload):
        return _answer("looking", _("This is no Rollcall pass"))
    try:
        record = look_up(kiosk=kiosk, number=number, payload=payload, at=timezone.now())
    except LookUpRefusedError as refusal:
        use_one(request, WRONG, key)
        logger.warning("kiosk %s: a number and a pass did not open a record", kiosk.pk)
        return _answer("refused", str(refusal))
    logger.info("kiosk %s: student %s looked up the own record", kiosk.pk, record.student.pk)
    return JsonResponse({"state": "shown", "record": as_shown(record)})


def _code_in(request: HttpRequest) -> str | None:
    """What a QR code in the picture says; None without one, and where it is no picture at all."""
    frame = request.FILES.get("frame")
    if frame is None or not frame.size or frame.size > MAX_FRAME_BYTES:
        return None
    try:
        return worker_pool().read_code(frame.read()).result(timeout=READ_TIMEOUT_S)
    except (EngineError, WorkerLostError, TimeoutError):
        return None


def _answer(state: str, message: str) -> JsonResponse:
    content: dict[str, Any] = {"state": state, "message": message}
    return JsonResponse(content)
