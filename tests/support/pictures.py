"""Pictures as files for enrolment and the kiosk: good ones, awkward ones and hostile ones."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener
from skimage import data

from tests.support.portraits import as_file, as_jpeg, astronaut
from tests.support.shared import LFW

register_heif_opener()

#: How a picture was turned that a viewer sets upright by this EXIF orientation.
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def portrait() -> bytes:
    """Eileen Collins alone, looking into the camera."""
    return as_jpeg(astronaut())


def pictures_of(person: str, count: int) -> list[bytes]:
    """The first pictures of somebody of Labeled Faces in the Wild; for `needs_faces` tests."""
    paths = sorted((LFW / person).glob("*.jpg"))[:count]
    if len(paths) < count:
        raise FileNotFoundError(f"{LFW / person} has {len(paths)} pictures, expected {count}")
    return [path.read_bytes() for path in paths]


def nobody() -> bytes:
    """A cup of coffee."""
    return as_jpeg(np.asarray(data.coffee(), np.uint8))


def two_people() -> bytes:
    head = astronaut()[:300, 80:380]
    return as_jpeg(np.hstack([head, head]))


def on_its_side(orientation: int) -> bytes:
    """The portrait as a phone stores it: turned, with the orientation that sets it upright."""
    turned = Image.fromarray(astronaut()).transpose(TURNED[orientation])
    return as_jpeg(np.asarray(turned), exif_orientation=orientation)


def greyscale() -> bytes:
    return as_file(Image.fromarray(astronaut()).convert("L"), "JPEG")


def with_alpha() -> bytes:
    """Cut out: the border is transparent."""
    picture = Image.fromarray(astronaut()).convert("RGBA")
    alpha = Image.new("L", picture.size, 0)
    alpha.paste(255, (40, 0, 472, 512))
    picture.putalpha(alpha)
    return as_file(picture, "PNG")


def png_bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A valid PNG of one bit a pixel: some kilobytes here, gigabytes as RGB."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def jpeg_bomb(side: int = 20_000) -> bytes:
    """A small JPEG whose header says that it is huge."""
    content = bytearray(portrait())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(content)


def heic(picture: Image.Image, *, orientation: int = 1) -> bytes:
    """HEIC as a phone stores it: these pixels, and boxes and EXIF that say how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return as_file(picture, "HEIF", quality=90, exif=exif.tobytes())


def heic_bomb(width: int = 20_000, height: int = 10_000) -> bytes:
    """A HEIC that says that it is huge, and that a viewer is to show a small cut of it."""
    small = as_file(Image.new("RGB", (101, 75), "red"), "HEIF")
    if b"clap" not in small:
        raise ValueError("the encoder wrote no cut: choose odd sides")
    return small.replace(struct.pack(">II", 102, 76), struct.pack(">II", width, height))


#: What somebody may hang behind a picture, so that other programs read the file as theirs.
HANGERS_ON = {
    "html": b"<html><script>alert('hanger-on')</script></html>",
    "zip": b"PK\x03\x04" + bytes(26) + b"hanger-on.exe" + b"PK\x05\x06" + bytes(18),
    "script": b"\n#!/bin/sh\necho hanger-on\n",
    "php": b"<?php system('hanger-on'); ?>",
}


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """The JPEG with a comment in its header."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + jpeg[2:]


#: Files that are named as pictures and are none of the accepted ones, by what they are.
NO_PHOTOS = {
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "web page": b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    "PDF": b"%PDF-1.7\n1 0 obj\n",
    "GIF": b"GIF89a/*" + bytes(100) + b"*/=1;alert(1)",
    "ZIP": b"PK\x03\x04" + bytes(100),
    "video": b"\x00\x00\x00\x18ftypisom" + bytes(100),
    "AVIF": as_file(Image.new("RGB", (16, 16)), "AVIF"),
}


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]
