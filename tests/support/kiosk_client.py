"""A kiosk that talks to the real consumer, and the people who step before its camera."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator

from checkin.virtual_kiosk import as_frame, as_jpeg
from recognition.engine.synthesis import AnimatedPortrait
from recognition.engine.types import Image, Points

#: What the camera sees: given the phase and how many frames it has lasted, a JPEG.
Scene = Callable[[str, int], bytes]

FPS = 15
FRAMES_BEFORE_BLINK = 5
#: How far the lids are down in the frames of a blink.
BLINK = (0.5, 1.0, 1.0, 0.5)


class SocketClosedError(Exception):
    """The server closed; ``code`` is the close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class _Communicator(WebsocketCommunicator):
    """Closes database connections as a server does; channels' own keeps them open in tests."""

    send_input = ApplicationCommunicator.send_input
    receive_output = ApplicationCommunicator.receive_output


class KioskClient:
    """One connection; ``messages`` keeps everything that came."""

    def __init__(self, token: str = "", *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        from attendance_site.asgi import application

        bearer = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self._socket = _Communicator(application, "/ws/kiosk/", headers=[*bearer, *headers])
        self._seq = 0
        self.messages: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        accepted, _subprotocol = await self._socket.connect(timeout=10)
        assert accepted, "refused without a word"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        # A cancellation that hits redis-py while it connects is lost, and the consumer would stay.
        await asyncio.sleep(0.02)
        await self._socket.disconnect(timeout=10)

    async def receive(self, *, timeout_s: float = 15) -> dict[str, Any]:
        event = await self._socket.receive_output(timeout_s)
        if event["type"] == "websocket.close":
            raise SocketClosedError(event["code"])
        message: dict[str, Any] = json.loads(event["text"])
        self.messages.append(message)
        return message

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of this type, and with these fields if any are given."""
        while True:
            message = await self.receive()
            if message["type"] == kind and fields.items() <= message.items():
                return message

    async def closing(self) -> tuple[str, int]:
        """The code of the error that explains the close, and the code of the close itself."""
        try:
            while True:
                await self.receive()
        except SocketClosedError as closed:
            return self.messages[-1]["code"], closed.code

    async def says_nothing(self) -> bool:
        return bool(await self._socket.receive_nothing(timeout=0.3))

    async def send_text(self, text: str) -> None:
        await self._socket.send_input({"type": "websocket.receive", "text": text})

    async def send_bytes(self, message: bytes) -> None:
        await self._socket.send_input({"type": "websocket.receive", "bytes": message})

    async def send_frame(self, jpeg: bytes) -> int:
        self._seq += 1
        await self.send_bytes(as_frame(self._seq, jpeg))
        return self._seq

    async def answer_to(self, jpeg: bytes) -> dict[str, Any]:
        seq = await self.send_frame(jpeg)
        while True:
            message = await self.receive()
            if message.get("seq") == seq:
                return message

    async def watch(self, scene: Scene, *, frames: int = 400) -> dict[str, Any] | None:
        """Send what the camera sees until a verdict; None if none came within so many frames."""
        phase, since = "", 0
        for number in range(frames):
            message = await self.answer_to(scene(phase, number - since))
            if message["type"] == "verdict":
                return message
            if message["type"] == "state" and message["phase"] != phase:
                phase, since = message["phase"], number
        return None

    async def verdict_on(self, scene: Scene) -> dict[str, Any]:
        verdict = await self.watch(scene)
        assert verdict is not None, f"no verdict; the last message was {self.messages[-1]}"
        return verdict

    @property
    def outcomes(self) -> list[str]:
        return [message["outcome"] for message in self.messages if message["type"] == "verdict"]

    @property
    def errors(self) -> list[str]:
        return [message["code"] for message in self.messages if message["type"] == "error"]


class Person:
    """Somebody who moves a little all the time; frames are JPEG files of 640 × 480.

    Time goes on by a frame with every look at them: no two are the same, as with a real camera.
    """

    def __init__(self, portrait: Image, landmarks: Points) -> None:
        self._animated = AnimatedPortrait(portrait, landmarks=landmarks)
        self._frames = 0
        self.picture = self._animated.frame(0)
        self._photo = as_jpeg(self.picture)

    def blinks_when_asked(self, phase: str, number: int) -> bytes:
        """Like a person: a moment after the question, and again if it comes again."""
        if self.is_blinking(phase, number):
            return self._seen(closure=BLINK[number - FRAMES_BEFORE_BLINK])
        return self._seen()

    @staticmethod
    def is_blinking(phase: str, number: int) -> bool:
        """Whether `blinks_when_asked` blinks in this frame."""
        return phase == "challenge" and 0 <= number - FRAMES_BEFORE_BLINK < len(BLINK)

    def looks(self, phase: str, number: int) -> bytes:
        """Eyes open, moving a little."""
        return self._seen()

    def photo(self, phase: str, number: int) -> bytes:
        """A picture held still."""
        return self._photo

    def _seen(self, **pose: float) -> bytes:
        self._frames += 1
        return as_jpeg(self._animated.frame(self._frames / FPS, **pose))


def nobody_there(phase: str, number: int) -> bytes:
    return as_jpeg(np.full((480, 640, 3), 128, np.uint8))


def played(clip: Sequence[bytes], *, fps: float) -> Scene:
    """A clip in a loop, by the clock, as a camera would see it."""
    started_s = time.monotonic()

    def scene(phase: str, number: int) -> bytes:
        return clip[int((time.monotonic() - started_s) * fps) % len(clip)]

    return scene
