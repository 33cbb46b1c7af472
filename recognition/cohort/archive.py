"""A ZIP that somebody sent: read without trust, one picture in memory at a time.

Names in it are labels and never paths. What counts are the bytes that really come out, not what
the directory claims.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from recognition.engine.images import MAX_PHOTO_BYTES
from roster.formats import MAX_FILE_BYTES

MAX_ARCHIVE_BYTES = 500 * 1024 * 1024
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_ENTRIES = 5_000
MAX_DIRECTORY_BYTES = 2 * 1024 * 1024

# Python's readers of the others unpack a whole block at once, however large it becomes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _UTF8 = 0x1, 0x800
_DEBRIS = {".ds_store", "thumbs.db", "desktop.ini"}
_DAMAGED_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    UnicodeDecodeError,
    ValueError,
)


class ArchiveRefusedError(Exception):
    """Nothing of the archive is used; the text is for the person."""


class EntryRefusedError(Exception):
    """One file of the archive is not used; the text is for the person."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the archive; ``name`` as people read it, with forward slashes."""

    name: str
    inside: zipfile.ZipInfo

    @property
    def base_name(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def is_list(self) -> bool:
        return self.name.lower().endswith(".csv")


class PhotoArchive:
    """The files of a ZIP, without folders and what operating systems leave behind.

    Raises:
        ArchiveRefusedError: it is no ZIP, protected by a password, empty or far too large.
    """

    def __init__(self, file: IO[bytes]) -> None:
        in_pieces = _ReadInPieces(file)
        try:
            self._zip = zipfile.ZipFile(in_pieces)
        except _DAMAGED_ERRORS as error:
            if in_pieces.was_cut:
                raise _too_many() from error
            raise ArchiveRefusedError(
                _("This is no ZIP file, or it is damaged. Pack the photos into a ZIP again.")
            ) from error
        everything = self._zip.infolist()
        if len(everything) > MAX_ENTRIES:
            raise _too_many()
        self.entries = [entry for entry in map(_as_entry, everything) if _counts(entry)]
        if not self.entries:
            raise ArchiveRefusedError(
                _("There is no file in this ZIP. Expected photos named by student number.")
            )
        if any(entry.inside.flag_bits & _ENCRYPTED for entry in self.entries):
            raise ArchiveRefusedError(
                _("This ZIP is protected by a password. Pack the photos without one.")
            )
        self._unpacked = 0

    def list_of_students(self) -> bytes | None:
        """The CSV that says which file shows whom, if there is one inside.

        Raises:
            ArchiveRefusedError: there are several, or it cannot be read.
        """
        lists = [entry for entry in self.entries if entry.is_list]
        if len(lists) > 1:
            raise ArchiveRefusedError(
                _("There are %(count)d CSV files in this ZIP, expected one: %(names)s.")
                % {
                    "count": len(lists),
                    "names": ", ".join(entry.name[:100] for entry in lists[:5]),
                }
            )
        try:
            return self._read(lists[0], most_bytes=MAX_FILE_BYTES) if lists else None
        except EntryRefusedError as error:
            raise ArchiveRefusedError(f"{lists[0].name[:100]}: {error}") from error

    def pictures(self) -> Iterator[tuple[Entry, str]]:
        """The files that are no list, each with the reason why it cannot be used, or nothing."""
        seen = Counter[str]()
        for entry in self.entries:
            if entry.is_list:
                continue
            seen[entry.name] += 1
            yield entry, _doubt_about(entry, occurrence=seen[entry.name])

    def content(self, entry: Entry) -> bytes:
        """Unpack one picture.

        Raises:
            EntryRefusedError: it is too large or damaged.
            ArchiveRefusedError: all of it together is too large.
        """
        return self._read(entry, most_bytes=MAX_PHOTO_BYTES)

    def _read(self, entry: Entry, *, most_bytes: int) -> bytes:
        try:
            with self._zip.open(entry.inside) as packed:
                content = packed.read(most_bytes + 1)
        except _DAMAGED_ERRORS as error:
            raise EntryRefusedError(_("The file is damaged in the ZIP. Pack it again.")) from error
        self._unpacked += len(content)
        if self._unpacked > MAX_UNPACKED_BYTES:
            raise ArchiveRefusedError(
                _("Unpacked, this ZIP has more than %(most)s. Divide the photos into several.")
                % {"most": filesizeformat(MAX_UNPACKED_BYTES)}
            )
        if len(content) > most_bytes:
            raise EntryRefusedError(
                _("The file has more than %(most)s. Choose a smaller picture.")
                % {"most": filesizeformat(most_bytes)}
            )
        return content


class _ReadInPieces:
    """The archive for `zipfile`, which would read its directory at once, of whatever size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.was_cut = False

    def read(self, size: int = MAX_DIRECTORY_BYTES) -> bytes:
        self.was_cut |= size > MAX_DIRECTORY_BYTES
        return self._file.read(min(size, MAX_DIRECTORY_BYTES))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _as_entry(inside: zipfile.ZipInfo) -> Entry:
    name = unicodedata.normalize("NFC", _name_of(inside).replace("\\", "/"))
    return Entry("".join(sign if sign.isprintable() else "�" for sign in name), inside)


def _name_of(inside: zipfile.ZipInfo) -> str:
    """Some programs write UTF-8 without saying so; others have code pages that nobody knows."""
    if inside.flag_bits & _UTF8:
        return inside.filename
    try:
        return inside.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return inside.filename


def _counts(entry: Entry) -> bool:
    base_name = entry.base_name
    return not (
        entry.name.endswith("/")
        or not base_name
        or base_name.startswith("._")
        or base_name.lower() in _DEBRIS
        or "__MACOSX" in PurePosixPath(entry.name).parts
    )


def _doubt_about(entry: Entry, *, occurrence: int) -> str:
    if _leads_out(entry.name):
        return _("The name leads out of the ZIP. Pack the photos with plain names.")
    if stat.S_ISLNK(entry.inside.external_attr >> 16):
        return _("This is a link and no picture. Pack the picture itself.")
    if entry.inside.compress_type not in _METHODS:
        return _("The file is packed in an unusual way. Pack it as an ordinary ZIP.")
    if occurrence > 1:
        return _("Another file of the same name came before. Give each its own name.")
    return ""


def _leads_out(name: str) -> bool:
    return name.startswith("/") or name[1:2] == ":" or ".." in PurePosixPath(name).parts


def _too_many() -> ArchiveRefusedError:
    return ArchiveRefusedError(
        _("There are more than %(most)s files in this ZIP. Divide the photos into several.")
        % {"most": f"{MAX_ENTRIES:,}"}
    )
