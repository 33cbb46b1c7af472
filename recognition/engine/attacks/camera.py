"""What a camera makes of a scene: light, sensor noise, JPEG, and its rate of frames."""

from __future__ import annotations

import cv2
import numpy as np

from recognition.engine.types import Image

FRAME_RATES = (5, 6, 8, 10, 12, 15, 20, 30)
_GAIN = (0.65, 1.2)
_SLOPE = 0.25  # light from one side: that much more there and less on the other
_NOISE = (0.5, 4.0)  # standard deviation, of 255
_QUALITY = (70, 93)
_BLUR_PX = (0.0, 0.7)
_NOISE_MARGIN_PX = 64
_UNEVEN_RATE = 0.15  # frames come this much of their distance sooner or later


def frame_rate(seed: int) -> float:
    """Frames per second of the camera with this seed."""
    return float(np.random.default_rng([seed, 1]).choice(FRAME_RATES))


class Grain:
    """A sensor's noise, its ``deviation`` of 255; each frame gets another part of one large field,
    since drawing a fresh one takes as long as everything else together.
    """

    def __init__(
        self, rng: np.random.Generator, width: int, height: int, *, deviation: float
    ) -> None:
        size = height + _NOISE_MARGIN_PX, width + _NOISE_MARGIN_PX, 3
        self._field = np.rint(deviation * rng.standard_normal(size, np.float32)).astype(np.int16)

    def over(self, image: Image, rng: np.random.Generator) -> Image:
        x, y = rng.integers(0, _NOISE_MARGIN_PX, 2)
        height, width = image.shape[:2]
        field = self._field[y : y + height, x : x + width]
        return np.asarray(cv2.add(image, field, dtype=cv2.CV_8U), np.uint8)


class Camera:
    """One camera in one light, drawn from ``seed``.

    Attributes:
        fps: frames per second; `frame_rate` of the seed unless given.
    """

    def __init__(
        self, seed: int, *, width: int = 640, height: int = 480, fps: float | None = None
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self.size = width, height
        self.fps = fps or frame_rate(seed)
        self._blur_px = self._rng.uniform(*_BLUR_PX)
        self._quality = int(self._rng.integers(*_QUALITY, endpoint=True))
        self._light = self._drawn_light(width, height)
        self._grain = Grain(self._rng, width, height, deviation=self._rng.uniform(*_NOISE))

    def next_ms(self, at_ms: float) -> float:
        """When the frame after the one at ``at_ms`` is taken."""
        unevenness = self._rng.uniform(-_UNEVEN_RATE, _UNEVEN_RATE)
        return at_ms + 1000 / self.fps * (1 + unevenness)

    def jpeg(self, scene: Image) -> bytes:
        """The frame that it takes of the scene, ``(height, width, 3)`` uint8 RGB."""
        if self._blur_px > 0.3:
            scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), self._blur_px), np.uint8)
        lit = cv2.multiply(scene, self._light, dtype=cv2.CV_8U)
        return encoded(self._grain.over(np.asarray(lit, np.uint8), self._rng), self._quality)

    def _drawn_light(self, width: int, height: int) -> np.ndarray:
        gain = self._rng.uniform(*_GAIN)
        across, along = self._rng.uniform(-_SLOPE, _SLOPE, 2)
        x = np.linspace(-1, 1, width)[None, :]
        y = np.linspace(-1, 1, height)[:, None]
        light = gain * (1 + across * x + along * y)
        return np.repeat(light[..., None], 3, axis=2).astype(np.float32)


def encoded(image: Image, quality: int) -> bytes:
    """A JPEG of ``(h, w, 3)`` uint8 RGB."""
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return jpeg.tobytes()


def decoded(jpeg: bytes) -> Image:
    """``(h, w, 3)`` uint8 RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
