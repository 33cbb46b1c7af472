"""What a camera sees of a picture on a display: its grid of pixels, its glass, its refreshing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from recognition.engine.attacks.sheets import Placement, homography
from recognition.engine.types import Image

# Of the light's first harmonic, relative to its mean: a colour's stripe is 28 % of a pixel wide,
# and 85 % of it high: 2 sin(pi d) / (pi d) for a duty d.
_STRIPES = 1.75
_ROWS = 0.34
_THIRD = 2 * math.pi / 3


@dataclass(frozen=True, slots=True)
class Display:
    """One display in one light.

    ``pixels_per_px``: of its pixels along one pixel of the shown picture. ``lens_limit``: cycles
    per camera pixel at which the camera's lens is down to 37 %. ``glow``: the light that its black
    gives back. ``glare``: of a lamp or a window in the glass, 0 to 255; ``glare_at`` from its
    middle, in shares of its size. ``banding``: of the refresh against the shutter.
    """

    pixels_per_px: float
    bezel_px: int
    lens_limit: float
    gamma: float
    brightness: float
    glow: float
    glare: float
    glare_at: tuple[float, float]
    glare_size: float
    banding: float
    band_px: float
    bands_per_s: float

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, *, pixels_per_px: tuple[float, float], bezel_px: int
    ) -> Display:
        return cls(
            pixels_per_px=rng.uniform(*pixels_per_px),
            bezel_px=bezel_px,
            lens_limit=rng.uniform(0.9, 1.8),
            gamma=rng.uniform(0.85, 1.25),
            brightness=rng.uniform(0.85, 1.15),
            glow=rng.uniform(4, 18),
            glare=rng.uniform(0, 90),
            glare_at=(rng.uniform(-0.45, 0.45), rng.uniform(-0.45, 0.45)),
            glare_size=rng.uniform(0.08, 0.25),
            banding=rng.uniform(0, 0.05),
            band_px=rng.uniform(90, 400),
            bands_per_s=rng.uniform(-2, 2),
        )

    def seen(self, shown: Image, placement: Placement, behind: Image, at_ms: float) -> Image:
        """The display with ``shown`` on it, held before ``behind``, which is a frame."""
        height, width = behind.shape[:2]
        pane = self._with_bezel(shown)
        pane_size = pane.shape[1], pane.shape[0]
        optics = _optics(self, placement, pane_size, (width, height))
        frame = cv2.warpPerspective(
            pane,
            optics.seen,
            (width, height),
            dst=behind.copy(),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        light = optics.grid * self._refresh(height, at_ms)[:, None, None]
        light[~optics.lit] = 1
        light *= frame
        light += optics.glare[..., None]
        return np.clip(light, 0, 255).astype(np.uint8)

    def _with_bezel(self, shown: Image) -> Image:
        levels = np.linspace(0, 1, 256) ** self.gamma * 255 * self.brightness + self.glow
        picture = cv2.LUT(shown, np.clip(levels, 0, 255).astype(np.uint8))
        edge = self.bezel_px
        return np.asarray(
            cv2.copyMakeBorder(
                picture, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(14, 14, 16)
            ),
            np.uint8,
        )

    def grid(self, u: np.ndarray, v: np.ndarray, *, px_per_frame_px: float) -> np.ndarray:
        """The grid of pixels as the camera's own pixels sample it: what is left is the moiré.

        A camera pixel sees the mean over its own area, a box, for which the mean of a cosine is the
        cosine at its middle times a sinc. So only the middles have to be looked at, and what lies
        above the camera's own limit comes out where it does in a camera.
        """
        cycles = self.pixels_per_px * px_per_frame_px
        left_over = float(np.sinc(cycles)) * math.exp(-((cycles / self.lens_limit) ** 2))
        across = (2 * math.pi * self.pixels_per_px) * u
        along = (2 * math.pi * self.pixels_per_px) * v
        rows = 1 + _ROWS * left_over * np.cos(along)
        cos, sin = np.cos(across), np.sin(across)
        depth = _STRIPES * left_over
        stripes = [
            1 + depth * (cos * math.cos(shift) + sin * math.sin(shift))
            for shift in (-_THIRD, 0.0, _THIRD)
        ]
        return np.stack(stripes, axis=-1) * rows[..., None]

    def _refresh(self, height: int, at_ms: float) -> np.ndarray:
        turns = np.arange(height) / self.band_px + self.bands_per_s * at_ms / 1000
        return (1 + self.banding * np.sin(2 * math.pi * turns)).astype(np.float32)

    def glare_on(
        self, u: np.ndarray, v: np.ndarray, pane_size: tuple[int, int], placement: Placement
    ) -> np.ndarray:
        """A lamp in the glass wanders twice as fast as the glass turns."""
        x = (0.5 + self.glare_at[0] - 0.03 * placement.yaw) * pane_size[0]
        y = (0.5 + self.glare_at[1] + 0.03 * placement.pitch) * pane_size[1]
        away = ((u - x) ** 2 + (v - y) ** 2) / (self.glare_size * pane_size[1]) ** 2
        return np.asarray(self.glare * np.exp(-away), np.float32)


@dataclass(frozen=True, slots=True)
class _Optics:
    """What a display in one place does to what is shown on it, whatever that is.

    ``seen`` is the homography from pane to frame; of the frame, ``grid`` is the share of the light
    of each colour, ``lit`` where the display shines, ``glare`` what the glass adds.
    """

    seen: np.ndarray
    grid: np.ndarray
    lit: np.ndarray
    glare: np.ndarray


@lru_cache(maxsize=1)
def _optics(
    display: Display, placement: Placement, pane_size: tuple[int, int], frame_size: tuple[int, int]
) -> _Optics:
    """Kept for as long as the display stands still: it takes longer than all the rest."""
    seen = homography(placement, picture_size=pane_size, frame_size=frame_size)
    u, v = _picture_coordinates(seen, *frame_size)
    bezel = display.bezel_px
    glass = (u > 0) & (v > 0) & (u < pane_size[0]) & (v < pane_size[1])
    return _Optics(
        seen=seen,
        grid=display.grid(u, v, px_per_frame_px=_scale(seen, pane_size)),
        lit=((u > bezel) & (v > bezel)) & ((u < pane_size[0] - bezel) & (v < pane_size[1] - bezel)),
        glare=display.glare_on(u, v, pane_size, placement) * glass,
    )


def _picture_coordinates(
    seen: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of the frame, where on the pane it looks; float32, ``(height, width)``."""
    (a, b, c), (d, e, f), (g, h, i) = np.linalg.inv(seen)
    x, y = np.arange(width, dtype=np.float64)[None, :], np.arange(height, dtype=np.float64)[:, None]
    depth = g * x + h * y + i
    return (
        ((a * x + b * y + c) / depth).astype(np.float32),
        ((d * x + e * y + f) / depth).astype(np.float32),
    )


def _scale(seen: np.ndarray, pane_size: tuple[int, int]) -> float:
    """Pixels of the pane along one pixel of the frame, about its middle."""
    middle = np.array(pane_size) / 2
    points = (middle + np.array([[0, 0], [1, 0], [0, 1]]))[None]
    origin, right, down = cv2.perspectiveTransform(points, seen)[0]
    area = abs(float(np.cross(np.append(right - origin, 0), np.append(down - origin, 0))[2]))
    return 1 / math.sqrt(max(area, 1e-6))
