from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from recognition.engine.images import decode_frame, decode_photo, jpeg_size
from recognition.engine.types import EngineError
from tests.support import pictures
from tests.support.portraits import as_file, as_jpeg, astronaut

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)


def half_red_half_blue(width: int = 64, height: int = 32) -> np.ndarray:
    """Red on the left, blue on the right."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = RED, BLUE
    return image


def near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 12)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header was changed to say that it is huge."""
    jpeg = as_jpeg(half_red_half_blue())
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _what_came(value: object) -> str | None:
    return f"{len(value)}_bytes_{value[:4].hex()}" if isinstance(value, bytes) else None


# ------------------------------------------------------------------------- frames


def test_a_frame_comes_out_as_rgb() -> None:
    frame = decode_frame(as_jpeg(half_red_half_blue()))

    assert (frame.shape, frame.dtype) == ((32, 64, 3), np.uint8)
    assert near(frame[16, 8], RED)
    assert near(frame[16, 56], BLUE)


def test_a_grey_frame_comes_out_as_rgb() -> None:
    grey = as_file(PillowImage.new("L", (40, 30), 99), "JPEG")

    assert decode_frame(grey).shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("orientation", "top_left"), [(1, RED), (3, BLUE), (6, RED), (8, BLUE), (2, BLUE), (5, RED)]
)
def test_a_frame_is_turned_upright_as_exif_says(
    orientation: int, top_left: tuple[int, int, int]
) -> None:
    frame = decode_frame(as_jpeg(half_red_half_blue(), exif_orientation=orientation))

    assert frame.shape[:2] == ((64, 32) if orientation in (5, 6, 8) else (32, 64))
    assert near(frame[4, 4], top_left)


def test_the_size_is_read_from_the_header_alone() -> None:
    assert jpeg_size(jpeg_claiming(60_000, 50_000)) == (60_000, 50_000)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", "empty_image"),
        (b"GIF89a" + bytes(100), "not_a_jpeg"),
        (png_claiming(8, 8), "not_a_jpeg"),
        (bytes(400_001), "frame_too_large"),
        (jpeg_claiming(60_000, 50_000), "frame_too_many_pixels"),
        (jpeg_claiming(0, 480), "broken_jpeg"),
        (b"\xff\xd8", "broken_jpeg"),
        (b"\xff\xd8\xff\xd9", "broken_jpeg"),
        (b"\xff\xd8" + bytes(100), "broken_jpeg"),
        (b"\xff\xd8\xff\xe0\x00\x00" + bytes(100), "broken_jpeg"),
    ],
    ids=_what_came,
)
def test_a_frame_that_cannot_be_used_is_refused(frame: bytes, code: str) -> None:
    with pytest.raises(EngineError) as refusal:
        decode_frame(frame)

    assert refusal.value.code == code


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_frame_is_refused_wherever_it_ends(share: float) -> None:
    jpeg = as_jpeg(astronaut())

    with pytest.raises(EngineError) as refusal:
        decode_frame(jpeg[: int(len(jpeg) * share)])

    assert refusal.value.code == "broken_jpeg"


def test_a_thumbnails_end_is_not_taken_for_the_frames() -> None:
    thumbnail = as_jpeg(half_red_half_blue())
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    jpeg = as_jpeg(astronaut())
    with_thumbnail = jpeg[:2] + segment + jpeg[2:]

    assert decode_frame(with_thumbnail).shape == (512, 512, 3)
    with pytest.raises(EngineError, match="end-of-image"):
        decode_frame(with_thumbnail[:-1000])


def test_the_refusal_says_what_came_and_what_to_do() -> None:
    with pytest.raises(EngineError) as refusal:
        decode_frame(b"GIF89a")

    assert str(refusal.value) == (
        "The frame is not a JPEG picture: it starts with 47 49 46 38. Send JPEG frames."
    )


# ------------------------------------------------------------------------- photos


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_a_photos_format_is_told_by_its_content(file_format: str) -> None:
    picture = PillowImage.fromarray(half_red_half_blue())
    photo = decode_photo(as_file(picture, file_format))

    assert (photo.shape, photo.dtype) == ((32, 64, 3), np.uint8)
    assert photo.flags.c_contiguous
    assert near(photo[16, 8], RED)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_is_turned_upright_as_exif_says(orientation: int) -> None:
    photo = decode_photo(as_jpeg(half_red_half_blue(), exif_orientation=orientation))

    assert np.array_equal(
        photo, decode_frame(as_jpeg(half_red_half_blue(), exif_orientation=orientation))
    )


@pytest.mark.parametrize(
    ("orientation", "top_left"), [(1, RED), (3, BLUE), (6, RED), (8, BLUE), (2, BLUE), (5, RED)]
)
def test_a_heic_photo_is_turned_upright_once(
    orientation: int, top_left: tuple[int, int, int]
) -> None:
    """Its EXIF says the same as its own boxes, as on phones."""
    picture = PillowImage.fromarray(half_red_half_blue())
    photo = decode_photo(pictures.heic(picture, orientation=orientation))

    assert photo.shape[:2] == ((64, 32) if orientation in (5, 6, 8) else (32, 64))
    assert near(photo[4, 4], top_left)


@pytest.mark.parametrize(
    ("mode", "colour"), [("L", 99), ("LA", (99, 255)), ("P", 1), ("1", 1), ("RGBA", (9, 9, 9, 255))]
)
def test_a_photo_of_any_mode_comes_out_as_rgb(mode: str, colour: int | tuple[int, ...]) -> None:
    photo = decode_photo(as_file(PillowImage.new(mode, (40, 30), colour), "PNG"))

    assert photo.shape == (30, 40, 3)


def test_transparency_is_laid_on_white() -> None:
    clear = PillowImage.new("RGBA", (40, 30), (0, 0, 0, 0))

    assert decode_photo(as_file(clear, "PNG")).min() == 255


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    clear = PillowImage.new("P", (40, 30), 0)
    clear.putpalette([0, 0, 0, 255, 0, 0])

    assert decode_photo(as_file(clear, "PNG", transparency=0)).min() == 255


def test_cmyk_comes_out_as_rgb() -> None:
    cyan = PillowImage.new("CMYK", (40, 30), (255, 0, 0, 0))
    photo = decode_photo(as_file(cyan, "JPEG"))

    assert photo.shape == (30, 40, 3)
    assert photo[15, 20, 0] < 60 < photo[15, 20, 2]


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.array([[0, 257 * 128, 65535]], np.uint16)
    photo = decode_photo(as_file(PillowImage.fromarray(ramp), "PNG"))

    assert photo[0, :, 0].tolist() == [0, 128, 255]


def test_a_large_photo_is_reduced() -> None:
    wide = PillowImage.new("RGB", (5000, 2500), RED)

    assert decode_photo(as_file(wide, "JPEG")).shape == (800, 1600, 3)
    assert decode_photo(as_file(wide, "PNG")).shape == (800, 1600, 3)


@pytest.mark.parametrize(
    ("photo", "code"),
    [
        (b"", "empty_image"),
        (bytes(12_000_001), "photo_too_large"),
        (b"just some text", "not_a_picture"),
        (b"GIF89a" + bytes(100), "not_a_picture"),
        (b"\xff\xd8\xff", "not_a_picture"),
        (png_claiming(20_000, 20_000), "photo_too_many_pixels"),
        (png_claiming(10_000, 9_000), "photo_too_many_pixels"),
        (png_claiming(300, 300), "broken_picture"),
        (pictures.png_bomb(20_000, 10_000), "photo_too_many_pixels"),
        (pictures.jpeg_bomb(15_000), "photo_too_many_pixels"),
        (pictures.heic_bomb(), "photo_too_many_pixels"),
        (as_jpeg(astronaut())[:20_000], "broken_picture"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(100), "broken_picture"),
        *[(content, "not_a_picture") for content in pictures.NO_PHOTOS.values()],
    ],
    ids=_what_came,
)
def test_a_photo_that_cannot_be_used_is_refused(photo: bytes, code: str) -> None:
    with pytest.raises(EngineError) as refusal:
        decode_photo(photo)

    assert refusal.value.code == code


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_a_truncated_heic_photo_is_refused_wherever_it_ends(share: float) -> None:
    heic = pictures.heic(PillowImage.fromarray(astronaut()))

    with pytest.raises(EngineError, match="The HEIC picture cannot be read") as refusal:
        decode_photo(heic[: int(len(heic) * share)])

    assert refusal.value.code == "broken_picture"


def test_a_heic_photo_that_hides_its_size_is_refused() -> None:
    heic = pictures.heic(PillowImage.fromarray(astronaut()))
    smaller = heic.replace(struct.pack(">II", 512, 512), struct.pack(">II", 16, 16))
    assert smaller != heic

    with pytest.raises(EngineError) as refusal:
        decode_photo(smaller)

    assert refusal.value.code == "broken_picture"


@pytest.mark.parametrize(("what", "content"), pictures.NO_PHOTOS.items())
def test_the_refusal_says_what_the_file_is_and_what_is_accepted(what: str, content: bytes) -> None:
    with pytest.raises(EngineError, match="not a JPEG, PNG, WebP or HEIC picture: .*" + what):
        decode_photo(content)


def test_a_real_picture_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = io.BytesIO()
    PillowImage.new("1", (20_000, 20_000)).save(bomb, "PNG")

    with pytest.raises(EngineError) as refusal:
        decode_photo(bomb.getvalue())

    assert refusal.value.code == "photo_too_many_pixels"
