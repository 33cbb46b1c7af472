"""A kiosk without a camera: plays pictures through the real websocket and tells what comes back."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import cv2
import numpy as np
from websockets.asyncio.client import connect

from recognition.engine.types import Image


def as_jpeg(image_rgb: Image, quality: int = 85) -> bytes:
    _ok, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(image_rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return encoded.tobytes()


def as_frame(seq: int, jpeg: bytes) -> bytes:
    """A binary message of the kiosk protocol."""
    captured_ms = int(time.time() * 1000)
    return seq.to_bytes(4) + captured_ms.to_bytes(8) + jpeg


async def play(
    *, url: str, token: str, clip: Sequence[bytes], fps: float
) -> AsyncIterator[dict[str, Any]]:
    """Play a clip of JPEG frames in a loop, like a camera, and yield every message that comes.

    One frame is in flight; as with a camera, what is sent next is what the clip shows by then.
    """
    async with connect(
        url, additional_headers={"Authorization": f"Bearer {token}"}, max_size=None
    ) as socket:
        started_s = time.monotonic()
        for seq in itertools.count():
            shown = int((time.monotonic() - started_s) * fps)
            await socket.send(as_frame(seq, clip[shown % len(clip)]))
            answered = False
            while not answered:
                message = json.loads(await socket.recv())
                yield message
                answered = message.get("seq") == seq
            next_s = started_s + (shown + 1) / fps
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
