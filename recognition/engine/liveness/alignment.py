"""Where a face's landmarks lie once it is moved, turned in the image and scaled to one place.

Face coordinates are hundredths of the distance between the outer eye corners, x to the right edge
of the image, y down, as in `geometry.HEAD_MODEL` without its depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.types import Points

Floats = npt.NDArray[np.float64]

#: Bone below: nose and eye corners stay where they are when lids and mouth move.
_STILL_POINTS = (27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45)
#: Where they lie in the mean of 290 pictures of LFW that look into the camera, made symmetric.
_STILL_PLACES = np.array(
    [
        *[(0.0, -40.4), (0.0, -26.1), (0.0, -11.9), (0.0, 2.8)],
        *[(-16.4, 12.2), (-8.5, 15.1), (0.0, 17.6), (8.5, 15.1), (16.4, 12.2)],
        *[(-49.8, -37.5), (-21.8, -36.0), (21.8, -36.0), (49.8, -37.5)],
    ]
) @ np.array([1, 1j])
_STILL_INDEX = np.array(_STILL_POINTS)
_PLACES_MIDDLE = _STILL_PLACES.mean()
_CENTRED_PLACES = _STILL_PLACES - _PLACES_MIDDLE
_PLACES_SPREAD = float(np.vdot(_CENTRED_PLACES, _CENTRED_PLACES).real)


@dataclass(frozen=True, slots=True)
class Placement:
    """From face coordinates to the image: ``pixel = motion * place + origin``, complex numbers.

    The modulus of ``motion`` is pixels per hundredth, its argument the lean of the head, and
    ``origin`` is seen between the eyes and the mouth, at the tip of the nose.
    """

    motion: complex
    origin: complex

    @property
    def px_per_hundredth(self) -> float:
        return abs(self.motion)

    def affine(self, *, left: float, top: float, step: float) -> Floats:
        """``(2, 3)``: from the pixels of a patch to those of the image, for ``cv2.warpAffine``.

        The patch begins at ``left``, ``top`` of the face and has a pixel every ``step`` hundredths.
        """
        motion = self.motion * step
        corner = self.motion * complex(left + step / 2, top + step / 2) + self.origin
        return np.array(
            [[motion.real, -motion.imag, corner.real], [motion.imag, motion.real, corner.imag]]
        )

    def in_face(self, landmarks: Points) -> Floats:
        """Points of the image, ``(n, 2)`` pixels, in face coordinates, ``(n, 2)``."""
        places = (landmarks @ np.array([1, 1j]) - self.origin) / self.motion
        return np.column_stack([places.real, places.imag])


def placement(landmarks: Points) -> Placement | None:
    """The similarity that brings nose and eye corners to their places, by least squares.

    ``(68, 2)`` landmarks in; None where they fell together.
    """
    points = landmarks[_STILL_INDEX] @ np.array([1, 1j])
    middle = points.mean()
    motion = complex(np.vdot(_CENTRED_PLACES, points - middle) / _PLACES_SPREAD)
    if abs(motion) < 1e-6:
        return None
    return Placement(motion, complex(middle - motion * _PLACES_MIDDLE))
