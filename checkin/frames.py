"""A websocket that takes camera frames: what a kiosk's and a student's own device share."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.translation import gettext as _

from checkin.admission import FRAMES_PER_S, Before, pace
from checkin.kiosks.health import HealthMeter
from checkin.metrics import CONNECTIONS, FRAME_AGE_S, FRAMES, WORKER_SERVICE_S, WORKER_WAIT_S
from checkin.outages import DATABASE_AWAY, Outage
from checkin.texts import HINT_TEXTS
from recognition.engine.dialogue import Hint, Phase, Step
from recognition.engine.images import MAX_FRAME_BYTES, MAX_FRAME_PIXELS
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError, FrameAnalysis, FrameRequest
from recognition.workers import worker_pool

logger = logging.getLogger(__name__)

HEADER_BYTES = 12
SEQUENCE_NUMBERS = 2**32

#: A client that sends more than this for so many seconds on end is cut off.
MAX_MESSAGES_PER_S = 120
PATIENCE_S = 3

CLOSE_TRY_AGAIN = 1013
CLOSE_UNKNOWN = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TOO_FAST = 4408
CLOSE_REPLACED = 4409

#: What a page is told of the frames that it may send.
FRAME_LIMITS = {
    "max_bytes": MAX_FRAME_BYTES,
    "max_pixels": MAX_FRAME_PIXELS,
    "width": 640,
    "height": 480,
    "quality": 0.85,
    "max_fps": FRAMES_PER_S,
}

#: In these a check-in is under way.
UNDER_WAY = (Phase.WAITING, Phase.CHALLENGE, Phase.MATCHING, Phase.PASS)

# Any thread of the pool will do: connections need not wait for each other's queries.
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


class FrameConsumer(AsyncWebsocketConsumer):
    """One connection that sends frames.

    Messages are taken in at once and never wait: the newest frame lies in one place until the
    serving task is free, and a newer one replaces it. Subclasses say what a frame is answered
    with, and append `serve_frames` to `tasks` once the client is known.
    """

    #: Who it is, for the log: an id, never a name.
    whose = "nobody"
    #: What kind of client, for those who count.
    device = "kiosk"
    #: What is logged where `recheck` fails.
    not_rechecked = "not checked again"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tasks: list[asyncio.Task[None]] = []
        self.closed = False
        self._rate = MessageRate()
        self._waiting: Frame | None = None
        self._arrival = asyncio.Event()
        self._last_seq: int | None = None
        self._skipped = 0
        self.meter = HealthMeter()
        self.outage = Outage()
        self._counted = False
        self._taken_s = self._due_s = 0.0

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        """Without the database nobody can be known: the client comes back, maybe elsewhere."""
        try:
            await super().websocket_connect(message)
        except Exception as error:
            self.outage.note(self.whose, "not let in", error)
            await self.end("not_ready", _("One moment, please."), CLOSE_TRY_AGAIN)

    async def answer(self, frame: Frame) -> None:
        """Send exactly one answer to the frame. What it raises is answered with an error."""
        raise NotImplementedError

    async def recheck(self) -> bool | None:
        """Look again at what this connection may do; closes it where that is nothing any more."""
        raise NotImplementedError

    async def try_to_recheck(self) -> None:
        """What was answered stands, whether it can be looked at again after it or not."""
        try:
            await self.recheck()
        except Exception as error:
            self.outage.note(self.whose, self.not_rechecked, error)
        else:
            self.outage.end(self.whose)

    async def analyse(self, frame: Frame, request: FrameRequest) -> FrameAnalysis:
        """What a worker finds in the frame. Raises `EngineError` or `WorkerLostError`."""
        asked_s = time.monotonic()
        analysis = await asyncio.wrap_future(worker_pool().analyse_frame(frame.jpeg, request))
        service_s = analysis.elapsed_ms / 1000
        wait_s = time.monotonic() - asked_s - service_s
        pace().served(service_s=service_s, wait_s=wait_s)
        WORKER_WAIT_S.observe(max(wait_s, 0.0))
        WORKER_SERVICE_S.observe(service_s)
        if analysis.main_face is not None:
            self.meter.saw_face(analysis.main_face.quality.brightness)
        return analysis

    async def take_message(self, message: Any) -> bool:
        """Whether a JSON message that is no ping was known and taken."""
        return False

    def begin_to_serve(self) -> None:
        """The client is known: from now on the connection counts."""
        self._counted = True
        CONNECTIONS.labels(self.device).inc()

    async def disconnect(self, code: int) -> None:
        pace().left(id(self))
        if self._counted:
            CONNECTIONS.labels(self.device).dec()
        for task in self.tasks:
            task.cancel()

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Before each message Channels has another thread look at the database connections. What
        # comes by the socket needs none, and `in_database` looks at its own.
        if message["type"] == "websocket.receive":
            await self.websocket_receive(message)
        else:
            await super().dispatch(message)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        now_s = time.monotonic()
        if self.closed:
            return
        if self._rate.exceeded(now_s):
            await self.end(
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
            await self.tell(type="error", seq=seq, code=error.code, message=str(error))
            return
        if self._last_seq is not None and not follows(frame.seq, self._last_seq):
            await self.tell_error(
                frame,
                "out_of_order",
                _("Frame %(seq)d came after frame %(last)d. Send frames as they are taken.")
                % {"seq": frame.seq, "last": self._last_seq},
            )
            return
        self._last_seq = frame.seq
        if self._waiting is not None:
            self._skipped += 1
            FRAMES.labels("skipped").inc()
        self._waiting = frame
        self._arrival.set()

    async def _take_text(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            await self.tell(
                type="error",
                seq=None,
                code="not_json",
                message=_("The text message is not JSON. Send frames as binary messages."),
            )
            return
        if message == {"type": "ping"}:
            await self.tell(type="pong")
        elif not await self.take_message(message):
            await self.tell(
                type="error",
                seq=None,
                code="unknown_message",
                message=_('This message is not known. Expected {"type": "ping"} or a frame.'),
            )

    async def serve_frames(self) -> None:
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            frame, self._waiting = self._waiting, None
            if frame is None:
                continue
            self._taken_s = self._due_s = time.monotonic()
            try:
                await self.answer(frame)
                self._note_answered(frame)
            except EngineError as error:
                await self.tell_error(frame, error.code, str(error))
            except WorkerLostError:
                logger.warning("%s lost a frame with its worker", self.whose)
                await self.tell_error(frame, "worker_lost", _("One moment, please try again."))
            except Exception as error:
                self._note_unanswered(error)
                await self.tell_error(frame, "error", _("Something went wrong. Please try again."))
            if (
                self._due_s <= frame.arrived_s
            ):  # A verdict or an error says nothing of the next one.
                self._due_s = pace().next_after(
                    frame.arrived_s, connection=id(self), before=Before.NOBODY
                )
            # Who sends sooner than asked finds that only the newest frame is taken.
            await asyncio.sleep(self._due_s - time.monotonic())

    def _note_unanswered(self, error: Exception) -> None:
        what = "a frame could not be answered"
        if isinstance(error, DATABASE_AWAY):
            # The next frame tries again; the next look beside the frames tells when it is over.
            self.outage.note(self.whose, what, error)
        else:
            logger.error("%s: %s", self.whose, what, exc_info=error)

    def _note_answered(self, frame: Frame) -> None:
        now_s = time.monotonic()
        age_s = now_s - frame.arrived_s
        FRAMES.labels("answered").inc()
        FRAME_AGE_S.observe(age_s)
        self.meter.answered(age_s=age_s, now_s=now_s)

    async def put_off(self, frame: Frame, phase: Phase) -> bool:
        """Ask for a moment's patience where the workers have enough to do with other check-ins."""
        if phase is not Phase.GUIDING or not pace().is_full_for(id(self), frame.arrived_s):
            return False
        await self.tell_state(
            frame, phase=phase, hint=Hint.WAIT, message=str(HINT_TEXTS[Hint.WAIT])
        )
        return True

    def _keep_pace(self, before: Before) -> None:
        self._due_s = pace().next_after(self._taken_s, connection=id(self), before=before)

    # Sending

    async def tell(self, **message: Any) -> None:
        # Who has left misses nothing; `disconnect` follows.
        with suppress(Disconnected):
            await self.send(text_data=json.dumps(message, ensure_ascii=False))

    async def tell_state(self, frame: Frame, *, phase: str, **state: Any) -> None:
        skipped, self._skipped = self._skipped, 0
        self._keep_pace(_before(phase, state["hint"]))
        await self.tell(
            type="state",
            seq=frame.seq,
            captured=frame.captured,
            phase=phase,
            **{"progress": 0.0, "asked": None, "face": None} | state,
            skipped=skipped,
            age_ms=round((time.monotonic() - frame.arrived_s) * 1000),
            interval_ms=round((self._due_s - frame.arrived_s) * 1000),
        )

    async def tell_error(self, frame: Frame, code: str, message: str) -> None:
        FRAMES.labels("failed").inc()
        self.meter.failed(code)
        await self.tell(type="error", seq=frame.seq, code=code, message=message)

    async def end(self, code: str, message: str, close_code: int) -> None:
        """Say why, and close the connection."""
        self.closed = True
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        await self.tell(type="error", seq=None, code=code, message=message)
        await self.close(code=close_code)


def _before(phase: str, hint: str) -> Before:
    if phase in UNDER_WAY:
        return Before.CHECKED_IN
    return Before.READY if (phase, hint) == (Phase.GUIDING, Hint.STILL) else Before.NOBODY


def follows(seq: int, last: int) -> bool:
    """Whether a frame's number is one after the last; numbers begin again after 2**32 - 1.

    By serial number arithmetic: RFC 1982, section 3.2.

    >>> follows(8, 7), follows(7, 7), follows(0, 2**32 - 1)
    (True, False, True)
    """
    return 0 < (seq - last) % SEQUENCE_NUMBERS < SEQUENCE_NUMBERS // 2


def header(scope: dict[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def origin_allowed(scope: dict[str, Any]) -> bool:
    """Whether the page that opened the socket is ours.

    A browser always names the origin, so a connection without one is a program's, and a cookie
    alone does not let it in.
    """
    origin = header(scope, b"origin")
    if not origin:
        return bool(header(scope, b"authorization"))
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = header(scope, b"host")
    domain, _port = split_domain_port(host)
    return origin in (f"http://{host}", f"https://{host}") and validate_host(
        domain, settings.ALLOWED_HOSTS
    )


def face_as_shares(step: Step, analysis: FrameAnalysis) -> list[float] | None:
    if step.face is None:
        return None
    box = step.face
    return [
        round(box.left / analysis.width, 3),
        round(box.top / analysis.height, 3),
        round(box.width / analysis.width, 3),
        round(box.height / analysis.height, 3),
    ]
