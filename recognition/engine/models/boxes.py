"""Boxes as the engine has them, from what other detectors find.

dlib's HOG detector gives squares from the brows to the chin. Landmarkers and thresholds are made
for these, so that what a detector finds is turned into such a square. The shares were fitted on 479
pictures of LFW, where both detectors find the one face.
"""

from __future__ import annotations

import math

from recognition.engine.types import Box, Points

#: The side over the distance between the eyes and from the eyes to the mouth, summed; and where
#: the middle lies on the way from the eyes to the mouth. dlib's landmarks in such a box differ by
#: 1.8 % of the distance between the eyes from those in dlib's own box, as much as if that box were
#: 8 % larger; in YuNet's rectangle they differ by 4.6 %, in `square_of_rectangle` by 2.4 %.
_SIDE_PER_DISTANCES = 1.196
_MIDDLE_ON_THE_WAY = 0.554
#: The side over the root of the area of a rectangle from the hairline to the chin, as detectors
#: give it that were trained on WIDER FACE; and how far below its middle, in its heights.
_SIDE_PER_ROOT_AREA = 0.975
_MIDDLE_BELOW = 0.063


def square_of_points(points: Points) -> Box:
    """From ``(5, 2)``: the eyes, the tip of the nose, the corners of the mouth."""
    (eye_x, eye_y), (other_eye_x, other_eye_y), _, corner, other_corner = points.tolist()
    eyes_x, eyes_y = (eye_x + other_eye_x) / 2, (eye_y + other_eye_y) / 2
    mouth_x, mouth_y = ((a + b) / 2 for a, b in zip(corner, other_corner, strict=True))
    apart = math.hypot(eye_x - other_eye_x, eye_y - other_eye_y)
    down = math.hypot(mouth_x - eyes_x, mouth_y - eyes_y)
    return _square(
        eyes_x + _MIDDLE_ON_THE_WAY * (mouth_x - eyes_x),
        eyes_y + _MIDDLE_ON_THE_WAY * (mouth_y - eyes_y),
        _SIDE_PER_DISTANCES * (apart + down),
    )


def square_of_rectangle(left: float, top: float, width: float, height: float) -> Box:
    """From a rectangle around a whole face, from the hairline to the chin."""
    return _square(
        left + width / 2,
        top + height / 2 + _MIDDLE_BELOW * height,
        _SIDE_PER_ROOT_AREA * math.sqrt(max(0.0, width * height)),
    )


def _square(middle_x: float, middle_y: float, side: float) -> Box:
    half = side / 2
    return Box(
        round(middle_x - half),
        round(middle_y - half),
        round(middle_x + half),
        round(middle_y + half),
    )
