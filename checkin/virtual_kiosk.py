"""A kiosk without a camera: plays pictures through the real websocket and tells what comes back."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import cv2
import numpy as np
from websockets.asyncio.client import connect

from recognition.engine.liveness.actions import Action
from recognition.engine.synthesis import AnimatedPortrait, blink_closure, held_up
from recognition.engine.types import Image, Points

#: What stands before the camera: given the seconds since the start and the last `state` or
#: `verdict` that the screen showed, a JPEG.
Camera = Callable[[float, dict[str, Any]], bytes]


def as_jpeg(image_rgb: Image, quality: int = 85) -> bytes:
    _ok, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(image_rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return encoded.tobytes()


def as_frame(seq: int, jpeg: bytes) -> bytes:
    """A binary message of the kiosk protocol."""
    captured_ms = int(time.time() * 1000)
    return seq.to_bytes(4) + captured_ms.to_bytes(8) + jpeg


class Performer:
    """A portrait that does what the screen asks for, as a person would.

    A moment after the question the head turns, or the lids close; it stays so until something else
    is asked, and returns. Where the pass is asked for, the cards are held up in turn. The face is
    that of ``portrait``, ``(h, w, 3)`` uint8 RGB, with its landmarks.
    """

    REACTION_S = 0.45
    BLINK_MS = 250
    #: Two blinks in a row, and the same again where they did not suffice.
    BETWEEN_BLINKS_S = 0.6
    AGAIN_S = 2.5
    CARD_S = 2.5
    #: As `AnimatedPortrait.frame` takes them, and how fast: 0.5 s from rest to there.
    POSES = {
        Action.TURN_LEFT: {"yaw": 24.0},
        Action.TURN_RIGHT: {"yaw": -24.0},
        Action.LOOK_UP: {"pitch": 17.0},
        Action.OPEN_MOUTH: {"mouth": 0.9},
    }
    SPEEDS = {"yaw": 48.0, "pitch": 34.0, "mouth": 1.8}
    BLINKS = {Action.BLINK_ONCE: 1, Action.BLINK_TWICE: 2}

    def __init__(
        self, portrait: Image, *, landmarks: Points, cards: Sequence[Image] = (), seed: int = 0
    ) -> None:
        self._animated = AnimatedPortrait(portrait, landmarks=landmarks, seed=seed)
        self._cards = cards
        self._at_s = 0.0
        self._pose = dict.fromkeys(self.SPEEDS, 0.0)
        self._question: tuple[str, Any] | None = None
        self._asked_at_s = 0.0

    def __call__(self, time_s: float, answer: dict[str, Any]) -> bytes:
        elapsed_s, self._at_s = time_s - self._at_s, time_s
        asked = answer.get("asked") or {}
        question = answer.get("phase", ""), (asked.get("action"), asked.get("number"))
        if question != self._question:
            self._question, self._asked_at_s = question, time_s
        since_s = time_s - self._asked_at_s
        action = (
            Action(asked["action"]) if asked.get("action") and since_s >= self.REACTION_S else None
        )
        self._move(self.POSES.get(action, {}) if action else {}, elapsed_s)
        frame = self._animated.frame(time_s, closure=self._closure(action, since_s), **self._pose)
        if answer.get("phase") == "pass" and self._cards:
            frame = held_up(frame, self._cards[int(since_s / self.CARD_S) % len(self._cards)])
        return as_jpeg(frame)

    def _move(self, target: dict[str, float], elapsed_s: float) -> None:
        for name, speed in self.SPEEDS.items():
            way = target.get(name, 0.0) - self._pose[name]
            self._pose[name] += float(np.clip(way, -speed * elapsed_s, speed * elapsed_s))

    def _closure(self, action: Action | None, since_s: float) -> float:
        count = self.BLINKS.get(action, 0) if action else 0
        times = [number * self.BETWEEN_BLINKS_S for number in range(count)]
        since_s = (since_s - self.REACTION_S) % self.AGAIN_S
        return blink_closure(since_s, blinks_at=times, blink_ms=self.BLINK_MS)


def looped(clip: Sequence[bytes], *, fps: float) -> Camera:
    """A recording of JPEG frames, over and over, whatever the screen says."""

    def shown(time_s: float, answer: dict[str, Any]) -> bytes:
        return clip[int(time_s * fps) % len(clip)]

    return shown


async def play(
    *, url: str, token: str, camera: Camera, fps: float
) -> AsyncIterator[dict[str, Any]]:
    """Show the server what stands before the camera and yield every message that comes.

    One frame is in flight; as with a real camera, what is sent next is what it sees by then.
    """
    async with connect(
        url, additional_headers={"Authorization": f"Bearer {token}"}, max_size=None
    ) as socket:
        started_s = time.monotonic()
        answer: dict[str, Any] = {}
        for seq in itertools.count():
            taken_s = time.monotonic()
            await socket.send(as_frame(seq, camera(taken_s - started_s, answer)))
            while answer.get("seq") != seq:
                message = json.loads(await socket.recv())
                yield message
                answer = message if "seq" in message else answer
            interval_s = max(1 / fps, answer.get("interval_ms", 0) / 1000)
            await asyncio.sleep(max(0.0, taken_s + interval_s - time.monotonic()))
