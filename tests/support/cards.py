"""Passes as they are held before a camera."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

import cv2
import numpy as np
from django.utils import timezone

from checkin.passes.models import EntryPass
from checkin.passes.services import ONE_TIME_PREFIX, png_of
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.synthesis import held_up
from recognition.engine.types import Image
from roster.models import Student


def a_pass_of(student: Student, *, at: datetime | None = None, **fields: Any) -> str:
    """The code of a one-time pass in force, without the mail that brings one."""
    EntryPass.objects.filter(student=student, used_at=None, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    code = ONE_TIME_PREFIX + base64.b32encode(secrets.token_bytes(20)).decode()
    issued_at = at or timezone.now()
    EntryPass.objects.create(
        student=student,
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        **{"issued_at": issued_at, "expires_at": issued_at + timedelta(days=7), **fields},
    )
    return code


def unknown_pass() -> str:
    """It looks like one and was never made."""
    return ONE_TIME_PREFIX + base64.b32encode(secrets.token_bytes(20)).decode()


def picture_in(png: bytes) -> Image:
    """A picture file as ``(h, w, 3)`` RGB."""
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def card(code: str) -> Image:
    """The square that is held up."""
    return picture_in(png_of(code))


def frame_with(code: str, *, behind: Image | None = None) -> bytes:
    """A JPEG frame in which somebody holds this code up, before an empty room if nothing else."""
    room = np.full((480, 640, 3), 110, np.uint8) if behind is None else behind
    return as_jpeg(held_up(room, card(code)))
