"""ZIPs as people pack them, and as they should not."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterable, Mapping

from django.core.files.uploadedfile import SimpleUploadedFile


def a_zip(
    files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], *, method: int = zipfile.ZIP_STORED
) -> io.BytesIO:
    """In the order given; pairs may repeat a name."""
    pairs = files.items() if isinstance(files, Mapping) else files
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in pairs:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    packed.seek(0)
    return packed


def uploaded(packed: io.BytesIO, name: str = "cohort.zip") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, packed.getvalue(), "application/zip")


def a_link(name: str, target: str) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo(name)
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, target)
    packed.seek(0)
    return packed


def with_password(packed: io.BytesIO) -> io.BytesIO:
    """The flags of an encrypted ZIP; what they promise is never looked at."""
    content = bytearray(packed.getvalue())
    for signature, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags_at] |= 0x1
            at = content.find(signature, at + 4)
    return io.BytesIO(bytes(content))


def claiming(packed: io.BytesIO, *, unpacked_bytes: int) -> io.BytesIO:
    """The first file says that it is of another size than it is."""
    content = bytearray(packed.getvalue())
    struct.pack_into("<I", content, content.index(b"PK\x03\x04") + 22, unpacked_bytes)
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, unpacked_bytes)
    return io.BytesIO(bytes(content))


def in_code_page(packed: io.BytesIO, name: str, raw: bytes) -> io.BytesIO:
    """Another name of the same length, in bytes that no flag explains."""
    content = packed.getvalue().replace(name.encode(), raw)
    return io.BytesIO(content)
