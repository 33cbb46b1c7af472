"""The kiosk's websocket. `docs/protocol.md` describes every message."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from django.utils.translation import gettext as _

from checkin.kiosk import Verdict, current_sessions, seen, verdict_on
from checkin.models import Kiosk
from checkin.selectors import kiosk_with_token
from checkin.texts import HINT_TEXTS, NO_SESSION
from checkin.views import KIOSK_COOKIE
from recognition.engine.dialogue import CheckInDialogue, Phase, Step
from recognition.engine.images import MAX_FRAME_BYTES, MAX_FRAME_PIXELS
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError, FrameAnalysis
from recognition.workers import worker_pool
from roster.models import ClassSession

logger = logging.getLogger(__name__)

PROTOCOL = 1
HEADER_BYTES = 12

#: How often an open connection looks whether its kiosk is revoked and which sessions are open.
RECHECK_S = 2.0
#: A client that sends more than this for so many seconds on end is cut off.
MAX_MESSAGES_PER_S = 120
PATIENCE_S = 3

#: No kiosk gets more than this many frames a second of the workers' time.
MAX_FRAMES_PER_S = 20

CLOSE_UNKNOWN = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TOO_FAST = 4408
CLOSE_REPLACED = 4409

# Any thread of the pool will do: kiosks need not wait for each other's queries.
in_database = partial(database_sync_to_async, thread_sensitive=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One binary message, taken apart. ``arrived_s`` is the server's monotonic clock."""

    seq: int
    captured: int
    jpeg: bytes
    arrived_s: float

    @classmethod
    def parse(cls, message: bytes, arrived_s: float) -> Frame:
        if len(message) <= HEADER_BYTES:
            raise EngineError(
                "frame_too_short",
                f"The frame has {len(message)} bytes, expected {HEADER_BYTES} bytes of header "
                "and a JPEG picture.",
            )
        return cls(
            seq=int.from_bytes(message[:4]),
            captured=int.from_bytes(message[4:HEADER_BYTES]),
            jpeg=message[HEADER_BYTES:],
            arrived_s=arrived_s,
        )


class MessageRate:
    """Counts messages by the second and tells when a client has been too fast for too long."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._too_fast_s = 0

    def exceeded(self, now_s: float) -> bool:
        if int(now_s) != self._second:
            self._too_fast_s = self._too_fast_s + 1 if self._count > MAX_MESSAGES_PER_S else 0
            self._second, self._count = int(now_s), 0
        self._count += 1
        return self._too_fast_s >= PATIENCE_S


class KioskConsumer(AsyncWebsocketConsumer):
    """One kiosk's connection.

    Messages are taken in at once and never wait: the newest frame lies in one place until the
    serving task is free, and a newer one replaces it.
    """

    kiosk: Kiosk

    async def connect(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._rate = MessageRate()
        self._waiting: Frame | None = None
        self._arrival = asyncio.Event()
        self._skipped = 0
        self._sessions: list[ClassSession] = []
        self._sessions_shown: list[dict[str, Any]] | None = None
        self._dialogue = CheckInDialogue(draw=secrets.SystemRandom().random)
        await self.accept()
        if not origin_allowed(self.scope):
            await self._close("origin_refused", _("This page may not use kiosks."), CLOSE_FORBIDDEN)
            return
        token = token_of(self.scope)
        kiosk = await in_database(kiosk_with_token)(token)
        if kiosk is None:
            await self._close(
                "kiosk_unknown",
                _("No kiosk has this token. Pair this device with the code of a kiosk."),
                CLOSE_UNKNOWN,
            )
            return
        if kiosk.revoked_at is not None:
            await self._close_revoked()
            return
        self.kiosk = kiosk
        await self._replace_older_connection()
        await self._send(
            type="welcome",
            protocol=PROTOCOL,
            kiosk=kiosk.name,
            frame={
                "max_bytes": MAX_FRAME_BYTES,
                "max_pixels": MAX_FRAME_PIXELS,
                "width": 640,
                "height": 480,
                "quality": 0.85,
                "max_fps": 12,
            },
        )
        await self._recheck()
        self._tasks = [
            asyncio.create_task(self._serve_frames()),
            asyncio.create_task(self._keep_rechecking()),
        ]

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "kiosk"):
            await self.channel_layer.group_discard(self._group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        now_s = time.monotonic()
        if self._closed:
            return
        if self._rate.exceeded(now_s):
            await self._close(
                "too_fast",
                _("More than %(most)d messages a second arrived. Send one frame per answer.")
                % {"most": MAX_MESSAGES_PER_S},
                CLOSE_TOO_FAST,
            )
        elif bytes_data is not None:
            await self._take_frame(bytes_data, now_s)
        else:
            await self._take_text(text_data or "")

    async def _take_frame(self, message: bytes, now_s: float) -> None:
        try:
            frame = Frame.parse(message, now_s)
        except EngineError as error:
            # A header alone still names its frame, and the client waits for the answer to it.
            seq = int.from_bytes(message[:4]) if len(message) == HEADER_BYTES else None
            await self._send(type="error", seq=seq, code=error.code, message=str(error))
            return
        if self._waiting is not None:
            self._skipped += 1
        self._waiting = frame
        self._arrival.set()

    async def _take_text(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            await self._send(
                type="error",
                seq=None,
                code="not_json",
                message=_("The text message is not JSON. Send frames as binary messages."),
            )
            return
        if message == {"type": "ping"}:
            await self._send(type="pong")
        else:
            await self._send(
                type="error",
                seq=None,
                code="unknown_message",
                message=_('This message is not known. Expected {"type": "ping"} or a frame.'),
            )

    # Frames

    async def _serve_frames(self) -> None:
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            frame, self._waiting = self._waiting, None
            if frame is None:
                continue
            taken_s = time.monotonic()
            try:
                await self._answer(frame)
            except EngineError as error:
                await self._send_error(frame, error.code, str(error))
            except WorkerLostError:
                logger.warning("kiosk %s lost a frame with its worker", self.kiosk.pk)
                await self._send_error(frame, "worker_lost", _("One moment, please try again."))
            except Exception:
                logger.exception("kiosk %s: a frame could not be answered", self.kiosk.pk)
                await self._send_error(frame, "error", _("Something went wrong. Please try again."))
            await asyncio.sleep(taken_s + 1 / MAX_FRAMES_PER_S - time.monotonic())

    async def _answer(self, frame: Frame) -> None:
        if not self._sessions:
            await self._send_state(frame, phase="idle", hint="wait", message=str(NO_SESSION))
            return
        if self._dialogue.showing_verdict(frame.arrived_s * 1000):
            await self._send_state(frame, phase=Phase.VERDICT, hint="wait", message="")
            return
        analysis = await asyncio.wrap_future(
            worker_pool().analyse_frame(frame.jpeg, self._dialogue.request())
        )
        step = self._dialogue.step(analysis, frame.arrived_s * 1000)
        if step.probe is not None or step.refusal is not None:
            verdict = await in_database(verdict_on)(
                self.kiosk, self._sessions, step, timezone.now()
            )
            await self._conclude(frame, verdict)
        else:
            await self._send_state(
                frame,
                phase=step.phase,
                hint=step.hint,
                message=str(HINT_TEXTS[step.hint]),
                progress=step.progress,
                face=_as_shares(step, analysis),
            )

    async def _conclude(self, frame: Frame, verdict: Verdict) -> None:
        self._dialogue.conclude(time.monotonic() * 1000)
        await self._send(
            type="verdict",
            seq=frame.seq,
            captured=frame.captured,
            outcome=verdict.outcome,
            name=verdict.name,
            time=verdict.time,
            title=verdict.title,
            message=verdict.message,
            tone=verdict.tone,
            show_ms=self._dialogue.policy.show_ms,
        )
        await self._recheck()

    # The kiosk and its sessions

    @property
    def _group(self) -> str:
        return f"kiosk.{self.kiosk.pk}"

    async def _replace_older_connection(self) -> None:
        await self.channel_layer.group_send(self._group, {"type": "kiosk.replaced"})
        await self.channel_layer.group_add(self._group, self.channel_name)

    async def kiosk_replaced(self, event: dict[str, Any]) -> None:
        """Another connection has come with this kiosk's token: only the newest is served."""
        await self._close(
            "replaced", _("This kiosk is now open on another screen."), CLOSE_REPLACED
        )

    async def _keep_rechecking(self) -> None:
        while not self._closed:
            await asyncio.sleep(RECHECK_S)
            try:
                await self._recheck()
            except Exception:
                logger.exception("kiosk %s: the sessions could not be read", self.kiosk.pk)

    async def _recheck(self) -> None:
        now = timezone.now()
        if not await in_database(seen)(self.kiosk, now):
            await self._close_revoked()
            return
        self._sessions, shown = await in_database(current_sessions)(self.kiosk, now)
        if shown != self._sessions_shown:
            self._sessions_shown = shown
            await self._send(type="sessions", sessions=shown)

    # Sending

    async def _send(self, **message: Any) -> None:
        # Who has left misses nothing; `disconnect` follows.
        with suppress(Disconnected):
            await self.send(text_data=json.dumps(message, ensure_ascii=False))

    async def _send_state(self, frame: Frame, **state: Any) -> None:
        skipped, self._skipped = self._skipped, 0
        await self._send(
            type="state",
            seq=frame.seq,
            captured=frame.captured,
            **{"progress": 0.0, "face": None} | state,
            skipped=skipped,
            age_ms=round((time.monotonic() - frame.arrived_s) * 1000),
        )

    async def _send_error(self, frame: Frame, code: str, message: str) -> None:
        await self._send(type="error", seq=frame.seq, code=code, message=message)

    async def _close_revoked(self) -> None:
        await self._close(
            "kiosk_revoked",
            _("This kiosk was revoked. Ask an administrator for a new code."),
            CLOSE_FORBIDDEN,
        )

    async def _close(self, code: str, message: str, close_code: int) -> None:
        self._closed = True
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        await self._send(type="error", seq=None, code=code, message=message)
        await self.close(code=close_code)


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def token_of(scope: dict[str, Any]) -> str:
    """The kiosk's token, from the header (programs) or the cookie (browsers)."""
    scheme, _space, token = _header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return parse_cookie(_header(scope, b"cookie")).get(KIOSK_COOKIE, "")


def origin_allowed(scope: dict[str, Any]) -> bool:
    """Whether the page that opened the socket is ours.

    A browser always names the origin, so a connection without one is a program's, and a cookie
    alone does not let it in.
    """
    origin = _header(scope, b"origin")
    if not origin:
        return bool(_header(scope, b"authorization"))
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = _header(scope, b"host")
    domain, _port = split_domain_port(host)
    return origin in (f"http://{host}", f"https://{host}") and validate_host(
        domain, settings.ALLOWED_HOSTS
    )


def _as_shares(step: Step, analysis: FrameAnalysis) -> list[float] | None:
    if step.face is None:
        return None
    box = step.face
    return [
        round(box.left / analysis.width, 3),
        round(box.top / analysis.height, 3),
        round(box.width / analysis.width, 3),
        round(box.height / analysis.height, 3),
    ]
