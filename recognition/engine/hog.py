"""dlib's frontal face detector, taken apart.

It is five linear filters over the same features: heads that are held straight, turned to either
side, and leant to either side. The filters cost about half of the time, and most faces at a kiosk
are found by the first of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import dlib

from recognition.engine.types import EngineError

_SCANNER_INTEGERS = 14  # version, pyramid, cell size, window and limits of the scanner
_OVERLAP_FLOATS = 2
_FILTER_ROWS = 3101  # 31 features of 10 x 10 cells, and the threshold


def first_direction(detector: dlib.fhog_object_detector) -> dlib.fhog_object_detector:
    """The same detector with its first filter only. Raises ``EngineError`` (``broken_weights``)."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "detector.dat"
        detector.save(str(path))
        path.write_bytes(_with_first_filter(path.read_bytes()))
        return dlib.fhog_object_detector(str(path))


def _with_first_filter(content: bytes) -> bytes:
    """Shorten dlib's serialisation: a header, the number of filters, the filters.

    A number is one byte (its low four bits: how many bytes follow) and those bytes; a float is two
    numbers, mantissa and exponent; a filter is minus its rows, minus its columns, and floats.
    """
    count_at = _skipped(content, 0, _SCANNER_INTEGERS + 2 * _OVERLAP_FLOATS)
    filters_at = _skipped(content, count_at, 1)
    values_at = _skipped(content, filters_at, 2)
    rows = int.from_bytes(content[filters_at + 1 : filters_at + 3], "little")
    if content[count_at : count_at + 1] != b"\x01" or rows != _FILTER_ROWS:
        raise EngineError(
            "broken_weights",
            f"dlib's face detector holds filters of {rows} values, expected {_FILTER_ROWS}: "
            "install the version of dlib-bin in requirements.txt.",
        )
    end = _skipped(content, values_at, 2 * _FILTER_ROWS)
    return content[:count_at] + b"\x01\x01" + content[filters_at:end]


def _skipped(content: bytes, position: int, numbers: int) -> int:
    """Where the reading stands after so many packed numbers."""
    for _ in range(numbers):
        position += 1 + (content[position] & 0x0F)
    return position
