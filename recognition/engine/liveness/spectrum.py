"""Narrow peaks in the spectrum of a face: the pattern that a screen's pixels make with a camera's.

Skin, hair and the noise of a camera have broad spectra. Two grids that lie over each other beat at
one frequency, and so does a screen's pixel grid that the camera resolves.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from recognition.engine.types import Image

Plane = npt.NDArray[np.float32]

#: In periods a pixel. Below, a face has its own shapes; above, there is nothing but noise.
_LOWEST_FREQUENCY = 0.08
_HIGHEST_FREQUENCY = 0.49
#: A peak under a Hann window is four bins wide, so what lies this far from it is not part of it.
_RING_RADIUS = 4
#: JPEG codes blocks of this side: their edges repeat along rows and columns, on every picture.
_JPEG_BLOCK_PX = 8


def narrow_peak(square: Plane) -> float:
    """How far the strongest narrow peak stands over what lies around it, in nepers.

    ``(n, n)`` float32, a colour or the light. The log amplitude at each frequency is compared with
    the largest on a ring about it: an edge or a stripe of hair gives a ridge, which the ring
    crosses, so only what is narrow both ways stands out. 0.0 where nothing does.
    """
    side = square.shape[0]
    windowed = (square - square.mean(dtype=np.float32)) * _window(side)
    spectrum = cv2.dft(windowed, flags=cv2.DFT_COMPLEX_OUTPUT)
    half = spectrum[:, : side // 2 + 1]
    amplitude = np.log(cv2.magnitude(half[..., 0], half[..., 1]) + 1.0)
    around = _largest_around(amplitude)
    return max(0.0, float(np.max((amplitude - around)[_looked_at(side)])))


def _largest_around(amplitude: Plane) -> Plane:
    """The largest value on a ring about each frequency; the lowest follow the highest down."""
    wrapped = cv2.copyMakeBorder(amplitude, _RING_RADIUS, _RING_RADIUS, 0, 0, cv2.BORDER_WRAP)
    largest = cv2.dilate(wrapped, _ring())
    return np.asarray(largest[_RING_RADIUS:-_RING_RADIUS], np.float32)


@cache
def _window(side: int) -> Plane:
    return np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)


@cache
def _ring() -> Image:
    away = np.arange(-_RING_RADIUS, _RING_RADIUS + 1)
    distance = np.maximum(np.abs(away)[:, None], np.abs(away)[None, :])
    return (distance >= _RING_RADIUS - 1).astype(np.uint8)


@cache
def _looked_at(side: int) -> npt.NDArray[np.bool_]:
    """The frequencies at which a peak means something, ``(side, side // 2 + 1)``."""
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    radius = np.hypot(down, across)
    bin_width = 1 / side

    def on_axis(frequency: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        return np.abs(frequency) <= 1.5 * bin_width

    def of_blocks(frequency: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        harmonic = frequency * _JPEG_BLOCK_PX
        return np.abs(harmonic - np.round(harmonic)) <= 2.5 * bin_width * _JPEG_BLOCK_PX

    of_jpeg = (on_axis(down) & of_blocks(across)) | (on_axis(across) & of_blocks(down))
    return (radius >= _LOWEST_FREQUENCY) & (radius <= _HIGHEST_FREQUENCY) & ~of_jpeg
