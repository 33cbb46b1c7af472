"""Kiosks at which people show passes, and which come back by themselves, as the page does."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from checkin.virtual_kiosk import as_frame
from tests.support.shown_pass import jpeg_with

#: As `socket.js` has them.
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 20.0
#: The page gives up after two times 5 s. Here servers, kiosks and other tests share two cores, and
#: kiosks that come back too early only make work.
REPLY_S = 30.0
NO_ANSWER = (OSError, WebSocketException, TimeoutError)

#: What the kiosk's screen says of somebody who is in.
IN = ("present", "late", "already")


@dataclass
class Told:
    """What the kiosks were told, all of them together."""

    acknowledged: dict[int, str] = field(default_factory=dict)
    #: Recorded without a word, because the line broke: the pass says at the next try that it was
    #: used already.
    unheard: set[int] = field(default_factory=set)
    reconnects: int = 0
    errors: int = 0
    #: How long a kiosk was without a connection.
    gaps_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._one_more = asyncio.Condition()

    @property
    def done(self) -> int:
        return len(self.acknowledged) + len(self.unheard)

    async def until(self, done: int) -> None:
        async with self._one_more:
            await self._one_more.wait_for(lambda: self.done >= done)

    async def note(self, student: int, outcome: str | None) -> None:
        """``outcome`` is None where the kiosk only says that the pass was used already."""
        async with self._one_more:
            if outcome is None:
                self.unheard.add(student)
            else:
                self.acknowledged[student] = outcome
            self._one_more.notify_all()


@dataclass
class DoorKiosk:
    """One kiosk, before which one student after the other holds up the pass on the telephone.

    ``draw`` gives a student's pass as it is at this moment; the telephone draws a new one every
    half minute.
    """

    url: str
    token: str
    tls: ssl.SSLContext | None
    draw: Callable[[int], str]
    told: Told

    async def serve(self, students: Sequence[int]) -> None:
        waiting = list(students)
        failures, lost_s = 0, None
        while waiting:
            try:
                async with connect(
                    self.url,
                    ssl=self.tls,
                    additional_headers={"Authorization": f"Bearer {self.token}"},
                    open_timeout=REPLY_S,
                    close_timeout=1,
                ) as socket:
                    await self._welcomed(socket)
                    if lost_s is not None:
                        self.told.gaps_s.append(time.monotonic() - lost_s)
                    failures, lost_s = 0, None
                    await self._serve_over(socket, waiting)
            except NO_ANSWER:
                self.told.reconnects += 1
                lost_s = lost_s or time.monotonic()
                longest = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2**failures)
                failures += 1
                await asyncio.sleep(longest / 2 + random.random() * longest / 2)

    async def _welcomed(self, socket: ClientConnection) -> None:
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), REPLY_S))
            if message["type"] == "sessions" and message["sessions"]:
                return

    async def _serve_over(self, socket: ClientConnection, waiting: list[int]) -> None:
        seq = 0
        while waiting:
            code = self.draw(waiting[0])
            frame = jpeg_with(code)
            while True:
                seq += 1
                message = await self._shown(socket, seq, frame)
                if message["type"] == "verdict":
                    break
                if message["type"] == "error":
                    self.told.errors += 1
                    await asyncio.sleep(0.2)
                elif message.get("hint") == "wrong_pass":
                    break
                await asyncio.sleep(message.get("interval_ms", 50) / 1000)
                if self.draw(waiting[0]) != code:
                    break  # the telephone shows the next one
            if message["type"] == "verdict":
                assert message["outcome"] in IN, message
                await self.told.note(waiting.pop(0), message["outcome"])
                await asyncio.sleep(message["show_ms"] / 1000)
            elif message.get("hint") == "wrong_pass":
                assert "used already" in message["message"], message
                await self.told.note(waiting.pop(0), None)

    async def _shown(self, socket: ClientConnection, seq: int, frame: bytes) -> dict[str, Any]:
        await socket.send(as_frame(seq, frame))
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), REPLY_S))
            if message["type"] == "error" and message.get("seq") is None:
                raise OSError(message["code"])
            if message.get("seq") == seq:
                return message
