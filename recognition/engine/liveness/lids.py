"""Whether a blink moves the skin about the eye, as lids do, or only what is inside the eye.

Who looks through the holes of a printed face can blink, but the print's upper lids stay where they
are printed. A lid that comes down draws the skin below the brow with it, as wide as the eye.

Patches are those of `types.FrameCues.eyes`; points are face coordinates, see `alignment`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.geometry import LEFT_EYE, RIGHT_EYE
from recognition.engine.liveness.actions import BLINKS
from recognition.engine.liveness.cues import (
    EYE_PATCH_SIZE,
    EYE_PATCH_STEP,
    LEFT_EYE_PATCH,
    RIGHT_EYE_PATCH,
)
from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.observation import Measure, Observation, at_least
from recognition.engine.thresholds import PassiveThresholds

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_EYES = ((RIGHT_EYE, RIGHT_EYE_PATCH), (LEFT_EYE, LEFT_EYE_PATCH))
#: What belongs to the opening of the eye, and the band of skin above it, in hundredths. Holes are
#: not cut to a hair, and landmarks are not placed to a hair.
_RIM = 3.5
_BAND = 9.0
_OPEN_FRAMES = 4
_ALIGNING_STEPS = 2


@dataclass(frozen=True, slots=True)
class LidMotion:
    """Changes of one eye between open and closed, root mean square in grey levels.

    ``skin`` is the change of the band above the eye, ``inside`` that of the opening, and ``noise``
    what the band would change by if nothing had moved.
    """

    skin: float
    inside: float
    noise: float

    @property
    def noise_share(self) -> float:
        """What would be seen of the skin anyway, as a share of the change inside."""
        return self.noise / max(self.inside, 1e-6)

    @property
    def ratio(self) -> float:
        """The change of the skin beyond the noise, as a share of the change inside."""
        beyond_noise = max(0.0, self.skin**2 - self.noise**2) ** 0.5
        return beyond_noise / max(self.inside, 1e-6)


class Lids:
    """Compares the most closed frame of each blink with the open ones before it.

    Who blinks while head or mouth do what was asked moves the skin above the eye by that, or hides
    it, and so does a picture that trembles before: those blinks say nothing.
    """

    def __init__(self, limits: PassiveThresholds) -> None:
        self._limits = limits
        self._open: deque[Observation] = deque(maxlen=_OPEN_FRAMES)
        self._most_closed: Observation | None = None
        self._ratios: list[float] = []

    def add(self, seen: Observation) -> None:
        if seen.cues is None:
            return
        if seen.eyes_closed:
            if seen.action is not None and seen.action not in BLINKS:
                self._open.clear()
            if self._most_closed is None or seen.face.ear < self._most_closed.face.ear:
                self._most_closed = seen
            return
        if self._most_closed is not None:
            motions = lid_motions(list(self._open), self._most_closed)
            if motions and self._can_tell(motions):
                self._ratios.append(float(np.mean([eye.ratio for eye in motions])))
            self._most_closed = None
            self._open.clear()
        self._open.append(seen)

    def _can_tell(self, motions: list[LidMotion]) -> bool:
        noise_share = float(np.mean([eye.noise_share for eye in motions]))
        return noise_share <= self._limits.max_lid_noise

    def measures(self) -> Iterator[Measure]:
        if self._ratios:
            yield at_least(
                self._limits.least_lid_motion,
                Refusal.IMPLAUSIBLE_BLINK,
                "lid_motion",
                float(np.median(self._ratios)),
            )


def lid_motions(before: list[Observation], closed: Observation) -> list[LidMotion]:
    """The motion of each eye, right and left; empty without two open frames before."""
    frames = [seen for seen in before if seen.cues is not None]
    if len(frames) < 2 or closed.cues is None:
        return []
    motions = []
    for eye, (points, corner) in enumerate(_EYES):
        contour = np.mean([s.place.in_face(s.face.landmarks[points]) for s in frames], axis=0)
        patches = [np.asarray(s.cues.eyes[eye], np.float64) for s in frames if s.cues]
        motions.append(
            lid_motion(patches, np.asarray(closed.cues.eyes[eye], np.float64), contour, corner)
        )
    return motions


def lid_motion(
    open_patches: list[Floats], closed: Floats, contour: Floats, corner: tuple[float, float]
) -> LidMotion:
    """Compare patches, ``(24, 32)``, of one eye; ``contour`` is ``(6, 2)``.

    Each is first laid over the last open one by what is outside of the eye: shifted, made lighter
    and given contrast, since a mask moves as a whole and landmarks tremble.
    """
    inside, band = eye_regions(contour, corner)
    reference = open_patches[-1]
    aligned = [_aligned(patch, reference, ~inside) for patch in open_patches[:-1]]
    usual = np.mean([reference, *aligned], axis=0)
    spread = np.std([reference, *aligned], axis=0, ddof=1)[band]
    difference = _aligned(closed, usual, ~inside) - usual
    return LidMotion(
        skin=_rms(difference[band]),
        inside=_rms(difference[inside]),
        # The mean of n frames has a noise of its own: 1 / n of one frame's variance.
        noise=_rms(spread) * (1 + 1 / len(open_patches)) ** 0.5,
    )


def eye_regions(contour: Floats, corner: tuple[float, float]) -> tuple[Mask, Mask]:
    """The opening of the eye and the band of skin above it, as masks ``(24, 32)``."""
    width, height = EYE_PATCH_SIZE
    pixels = (contour - corner) / EYE_PATCH_STEP - 0.5
    opening = np.zeros((height, width), np.uint8)
    cv2.fillPoly(opening, [np.round(pixels).astype(np.int32)], 1)
    rim = round(_RIM / EYE_PATCH_STEP)
    inside = cv2.dilate(opening, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)).astype(bool)
    band_px = round(_BAND / EYE_PATCH_STEP)
    raised = np.zeros_like(inside)
    for rows in range(1, band_px + 1):
        raised[:-rows] |= inside[rows:]
    columns = np.arange(width)
    over_eye = (columns >= pixels[:, 0].min()) & (columns <= pixels[:, 0].max())
    above = np.arange(height)[:, None] < pixels[:, 1].mean()
    return inside, raised & ~inside & over_eye & above


def _aligned(patch: Floats, reference: Floats, where: Mask) -> Floats:
    """The patch laid over the reference by least squares (Lucas & Kanade 1981).

    It is shifted, turned, grown, made lighter and given contrast.
    """
    rows, columns = (axis.astype(np.float32) for axis in np.indices(patch.shape))
    from_middle = columns - columns.mean(), rows - rows.mean()
    x, y = from_middle
    lit, contrast, lighter = patch, 1.0, 0.0
    for _ in range(_ALIGNING_STEPS):
        down, across = np.gradient(lit)
        terms = np.stack(
            [across, down, across * x + down * y, down * x - across * y, lit, np.ones_like(lit)],
            axis=-1,
        )
        right, lower, growth, turn, gain, offset = np.linalg.lstsq(
            terms[where], reference[where] - lit[where], rcond=None
        )[0]
        x, y = (
            x + np.float32(right) + np.float32(growth) * x - np.float32(turn) * y,
            y + np.float32(lower) + np.float32(growth) * y + np.float32(turn) * x,
        )
        contrast, lighter = contrast * (1 + gain), lighter * (1 + gain) + offset
        moved = cv2.remap(
            patch,
            x + columns.mean(),
            y + rows.mean(),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        lit = np.asarray(contrast * moved + lighter, np.float64)
    return lit


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
