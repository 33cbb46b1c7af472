"""Whether anything has come into a picture since it was searched for faces in vain."""

from __future__ import annotations

import cv2
import numpy as np

from recognition.engine.types import Image

#: Pixels of a glance, each the mean of 8 x 8, are compared as means of 3 x 3. The noise of a webcam
#: in poor light, 10 grey levels a pixel, makes them differ by 0.6; faces differ from what is behind
#: them by 10 and more. The smallest face that is searched for covers 100 of them.
_DIFFERENT_GREY_LEVELS = 3.0
_DIFFERENT_PIXELS = 12


def is_still(glance: Image, before: Image) -> bool:
    """Whether two pictures of one camera show the same; see `images.decode_glance`.

    Light that changes counts as something that came: a search too many does no harm.
    """
    if glance.shape != before.shape:
        return False
    means = (cv2.blur(one, (3, 3)) for one in (glance, before))
    difference = cv2.absdiff(*means)
    return int(np.count_nonzero(difference > _DIFFERENT_GREY_LEVELS)) < _DIFFERENT_PIXELS
