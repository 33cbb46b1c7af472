"""Untrusted bytes to pixels: limits are checked before anything is decoded.

Two doors: ``decode_frame`` for the kiosk's stream (JPEG only, OpenCV, a millisecond) and
``decode_photo`` for files (JPEG, PNG, WebP, HEIC, Pillow). Both return ``(height, width, 3)``
uint8 RGB, upright by the picture's own orientation, and refuse with ``EngineError``.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
from pillow_heif import register_heif_opener

from recognition.engine.types import EngineError, Image

MAX_FRAME_BYTES = 400_000
MAX_FRAME_PIXELS = 2_100_000
MAX_PHOTO_BYTES = 12_000_000
MAX_PHOTO_PIXELS = 50_000_000
PHOTO_LONGER_SIDE_PX = 1600
"""Photos are reduced to this: faces down to 5 % of it are still found, and later steps are fast."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")

# Only the picture itself: thumbnails, depth maps and gain maps would be decoded for nothing.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

_START_OF_IMAGE = b"\xff\xd8"
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
# Start-of-frame markers C0 to CF, without the tables DHT (C4), JPG (C8) and DAC (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length: TEM and the restart markers.
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_BROKEN_PICTURE_ERRORS = (
    OSError,
    SyntaxError,  # Pillow's PNG reader reports broken chunks so
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    RuntimeError,  # libheif's, for a limit of its own or a codec that it does not have
)
# Of HEIF files with HEVC pictures in them; AVIF has brands of its own.
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
# The boxes on the way to the sizes of all pictures in a HEIF file, and what precedes their content.
_WAY_TO_HEIF_SIZES = {b"meta": 4, b"iprp": 0, b"ipco": 0}
_KNOWN_STARTS = (
    (b"GIF8", "it is a GIF picture"),
    (b"%PDF", "it is a PDF document"),
    (b"BM", "it is a BMP picture"),
    (b"II*\x00", "it is a TIFF picture"),
    (b"MM\x00*", "it is a TIFF picture"),
    (b"PK\x03\x04", "it is a ZIP file or an office document"),
)


def decode_frame(
    jpeg: bytes, *, max_bytes: int = MAX_FRAME_BYTES, max_pixels: int = MAX_FRAME_PIXELS
) -> Image:
    """Decode one kiosk frame.

    Returns ``(height, width, 3)`` uint8 RGB, rotated upright by EXIF. Raises ``EngineError`` with
    ``empty_image``, ``frame_too_large``, ``not_a_jpeg``, ``frame_too_many_pixels`` or
    ``broken_jpeg``; the first four cost no decoding.
    """
    return _decoded(jpeg, cv2.IMREAD_COLOR_RGB, max_bytes=max_bytes, max_pixels=max_pixels)


def decode_glance(jpeg: bytes) -> Image:
    """The light of one kiosk frame, an eighth as wide and high, in half of the time.

    Returns ``(height / 8, width / 8)`` uint8, upright. Raises ``EngineError`` as ``decode_frame``.
    """
    return _decoded(
        jpeg,
        cv2.IMREAD_REDUCED_GRAYSCALE_8,
        max_bytes=MAX_FRAME_BYTES,
        max_pixels=MAX_FRAME_PIXELS,
    )


def _decoded(jpeg: bytes, flags: int, *, max_bytes: int, max_pixels: int) -> Image:
    if not jpeg:
        raise EngineError("empty_image", "The frame has no bytes. Send a JPEG picture.")
    if len(jpeg) > max_bytes:
        raise EngineError(
            "frame_too_large",
            f"The frame has {len(jpeg):,} bytes; at most {max_bytes:,} are accepted. "
            "Send smaller frames or lower the JPEG quality.",
        )
    if not jpeg.startswith(_START_OF_IMAGE):
        raise EngineError(
            "not_a_jpeg",
            f"The frame is not a JPEG picture: it starts with {_first_bytes(jpeg)}. "
            "Send JPEG frames.",
        )
    width, height, scan_at = _jpeg_layout(jpeg)
    if width * height > max_pixels:
        raise EngineError(
            "frame_too_many_pixels",
            f"The frame has {width} × {height} pixels; at most {max_pixels:,} pixels are "
            "accepted. Send smaller frames.",
        )
    # libjpeg fills what is missing with grey and only warns; a scan holds no bare FF D9 itself.
    if jpeg.find(_END_OF_IMAGE, scan_at) < 0:
        raise _broken_jpeg(f"it ends after {len(jpeg):,} bytes without an end-of-image marker")
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)
    except cv2.error as error:
        raise _broken_jpeg(f"the decoder failed ({error.err})") from error
    if image is None:
        raise _broken_jpeg("the decoder found no picture in it")
    return np.asarray(image, np.uint8)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height in pixels as the header says, before EXIF rotation; nothing is decoded.

    Raises ``EngineError`` with ``broken_jpeg`` where the header ends or makes no sense.
    """
    width, height, _ = _jpeg_layout(jpeg)
    return width, height


def decode_photo(
    content: bytes,
    *,
    max_bytes: int = MAX_PHOTO_BYTES,
    max_pixels: int = MAX_PHOTO_PIXELS,
    longer_side_px: int = PHOTO_LONGER_SIDE_PX,
) -> Image:
    """Decode one photo; the format is told by its content, never by a file name.

    Returns ``(height, width, 3)`` uint8 RGB, upright, transparency on white, the longer side
    reduced to ``longer_side_px``. Raises ``EngineError`` with ``empty_image``,
    ``photo_too_large``, ``not_a_picture``, ``photo_too_many_pixels`` or ``broken_picture``; all
    but the last cost no decoding.
    """
    if not content:
        raise EngineError("empty_image", "The photo is an empty file. Choose the picture again.")
    if len(content) > max_bytes:
        raise EngineError(
            "photo_too_large",
            f"The photo has {len(content) / 1e6:.1f} MB; at most {max_bytes / 1e6:.1f} MB are "
            "accepted. Choose a smaller picture.",
        )
    with _open_photo(content, max_pixels) as picture:
        sizes = [picture.size]
        if picture.format == "HEIF":
            sizes += _heif_sizes(content)
        width, height = max(sizes, key=math.prod)
        if width * height > max_pixels:
            raise _too_many_pixels(f"{width} × {height} pixels", max_pixels)
        try:
            return _upright_rgb(picture, longer_side_px)
        except _BROKEN_PICTURE_ERRORS as error:
            name = "HEIC" if picture.format == "HEIF" else str(picture.format)
            raise _broken_picture(name, error) from error


def _open_photo(content: bytes, max_pixels: int) -> PillowImage.Image:
    """Read the header only; Pillow decodes later, when the size has been accepted."""
    try:
        with warnings.catch_warnings(
            action="ignore", category=PillowImage.DecompressionBombWarning
        ):
            return PillowImage.open(io.BytesIO(content), formats=PHOTO_FORMATS)
    except PillowImage.DecompressionBombError as error:
        raise _too_many_pixels("far too many pixels", max_pixels) from error
    except _BROKEN_PICTURE_ERRORS as error:
        if _starts_as_heic(content):
            raise _broken_picture("HEIC", error) from error
        raise EngineError(
            "not_a_picture",
            f"The file is not a JPEG, PNG, WebP or HEIC picture: {_what_it_is(content)}. "
            "Choose a picture in one of these formats.",
        ) from error


def _upright_rgb(picture: PillowImage.Image, longer_side_px: int) -> Image:
    if picture.format == "JPEG":
        # libjpeg leaves out what is not needed: a 12-megapixel photo decodes four times faster.
        width, height = picture.size
        share = min(1.0, longer_side_px / max(width, height))
        picture.draft("RGB", (math.floor(width * share), math.floor(height * share)))
    # libheif turns by the file's own `irot` and `imir`, beside which HEIC's EXIF does not count.
    if picture.format != "HEIF":
        ImageOps.exif_transpose(picture, in_place=True)
    rgb = np.asarray(_rgb(picture))
    found_px = max(rgb.shape[:2])
    if found_px <= longer_side_px:
        return np.array(rgb, order="C")
    scale = longer_side_px / found_px
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rgb(picture: PillowImage.Image) -> PillowImage.Image:
    """Any mode to RGB: 16-bit grey is scaled, not clipped; transparency is laid on white."""
    if picture.mode.startswith("I"):
        deep = np.asarray(picture).astype(np.float32)
        return PillowImage.fromarray((deep / 257.0).round().clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    white = PillowImage.new("RGBA", with_alpha.size, "white")
    return PillowImage.alpha_composite(white, with_alpha).convert("RGB")


def _heif_sizes(content: bytes) -> list[tuple[int, int]]:
    """The size of every picture as it is coded: the one that a viewer gets may be a small cut."""
    sizes: list[tuple[int, int]] = []
    spans = [(0, len(content))]
    while spans:
        position, end = spans.pop()
        while position + 8 <= end:
            length, kind = struct.unpack_from(">I4s", content, position)
            stop = min(end, position + length) if length >= 8 else end
            if kind in _WAY_TO_HEIF_SIZES:
                spans.append((position + 8 + _WAY_TO_HEIF_SIZES[kind], stop))
            elif kind == b"ispe" and position + 20 <= stop:
                sizes.append(struct.unpack_from(">II", content, position + 12))
            position = stop
    return sizes


def _jpeg_layout(jpeg: bytes) -> tuple[int, int, int]:
    """Width, height, and where the first scan starts, from the markers alone."""
    position = len(_START_OF_IMAGE)
    size: tuple[int, int] | None = None
    while position + 4 <= len(jpeg):
        if jpeg[position] != 0xFF:
            raise _broken_jpeg(f"no marker at byte {position}")
        marker = jpeg[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        position += 2
        if marker in _BARE_MARKERS:
            continue
        length = int.from_bytes(jpeg[position : position + 2], "big")
        if length < 2:
            raise _broken_jpeg(f"a segment of {length} bytes at byte {position}")
        if marker in _START_OF_FRAME and size is None:
            size = _frame_size(jpeg[position + 2 : position + length])
        if marker == _START_OF_SCAN:
            break
        position += length
    else:
        raise _broken_jpeg(f"its header does not end within {len(jpeg):,} bytes")
    if size is None:
        raise _broken_jpeg("its header gives no size")
    return *size, position


def _frame_size(segment: bytes) -> tuple[int, int]:
    if len(segment) < 5:
        raise _broken_jpeg("its header is cut off")
    height, width = struct.unpack(">HH", segment[1:5])
    if not width or not height:
        raise _broken_jpeg(f"its header says {width} × {height} pixels")
    return width, height


def _broken_jpeg(reason: str) -> EngineError:
    return EngineError(
        "broken_jpeg", f"The JPEG frame is broken: {reason}. Send the next frame whole."
    )


def _broken_picture(file_format: str, error: Exception) -> EngineError:
    return EngineError(
        "broken_picture",
        f"The {file_format} picture cannot be read to its end ({error}). "
        "It may have been cut off on the way: choose it again or take another one.",
    )


def _too_many_pixels(found: str, max_pixels: int) -> EngineError:
    return EngineError(
        "photo_too_many_pixels",
        f"The photo has {found}; at most {max_pixels / 1e6:.0f} megapixels are accepted. "
        "Choose a smaller picture.",
    )


def _first_bytes(content: bytes) -> str:
    return content[:4].hex(" ").upper()


def _starts_as_heic(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS


def _what_it_is(content: bytes) -> str:
    if content[4:8] == b"ftyp":
        return "it is an AVIF picture" if content[8:11] == b"avi" else "it is a video"
    beginning = content[:1000].lower()
    if b"<svg" in beginning:
        return "it is an SVG drawing"
    if b"<html" in beginning or b"<!doctype html" in beginning:
        return "it is a web page"
    for start, words in _KNOWN_STARTS:
        if content.startswith(start):
            return words
    return f"it starts with {_first_bytes(content)}"
