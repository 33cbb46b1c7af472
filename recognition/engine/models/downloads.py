"""Fetches files of weights. Only ``manage.py fetch_models`` calls this, never a start.

What has come so far lies in ``<file>.part`` and is continued by a range request, as long as the
server still has the same file (``If-Range``: RFC 9110, section 13.1.5). A finished file is
unpacked, compared with its published checksum where there is one, and renamed; its checksum stays
beside it.
"""

from __future__ import annotations

import bz2
import http.client
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from recognition.engine.dlib_resnet import model_file
from recognition.engine.models.catalogue import WeightFile
from recognition.engine.models.weights import PART_SUFFIX, keep_checksum, sha256_of
from recognition.engine.types import EngineError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes of the whole, None where nobody knows."""

TIMEOUT_S = 30.0

_BLOCK_BYTES = 1 << 18
_VALIDATOR_SUFFIX = ".validator"
_DRIVE_HOST = "drive.google.com"


def fetch(
    file: WeightFile,
    folder: Path,
    *,
    progress: Progress,
    mirror: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """The file's path, once it is there, whole and with its checksum beside it.

    With ``mirror``, an address of the institution's own, only ``<mirror>/<file's name>`` is asked.
    Raises ``EngineError`` (``download_failed``); what came until then is continued next time.
    """
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.packaged:
        return _copied(file, path)
    failures = []
    for address in _addresses(file, mirror):
        try:
            _download(address, path, progress=progress, timeout_s=timeout_s)
            return _accepted(file, path, address)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{address}: {_reason(error)}")
    raise EngineError("download_failed", f"{file.name} could not be fetched. {'; '.join(failures)}")


def _addresses(file: WeightFile, mirror: str) -> list[str]:
    if mirror:
        return [f"{mirror.rstrip('/')}/{file.name}"]
    return [_direct(address) for address in file.addresses]


def _direct(address: str) -> str:
    """Of a large file on Google Drive, the address behind the page that asks whether to go on."""
    parts = urllib.parse.urlsplit(address)
    if parts.hostname != _DRIVE_HOST:
        return address
    (file_id,) = urllib.parse.parse_qs(parts.query)["id"]
    return f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t"


def _copied(file: WeightFile, path: Path) -> Path:
    """From the installed package ``face_recognition_models``."""
    shutil.copyfile(model_file(file.packaged), path)
    keep_checksum(path, sha256_of(path))
    return path


def _download(address: str, path: Path, *, progress: Progress, timeout_s: float) -> None:
    """Bring ``<path>.part`` to its end, from where it stands."""
    part, validator = _beside(path, PART_SUFFIX), _beside(path, _VALIDATOR_SUFFIX)
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ValueError("only http and https are fetched")
    request = urllib.request.Request(address, headers=_range_headers(part, validator))  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # All of it is there, or another file was: nobody knows which.
        part.unlink()
        answer = urllib.request.urlopen(address, timeout=timeout_s)  # noqa: S310
    with answer:
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise ValueError("the server gave a web page, not a file")
        begun = _begins_at(answer, part)
        validator.write_text(_validator_of(answer), "utf-8")
        length = answer.headers.get("Content-Length")
        total = begun + int(length) if length else None
        with part.open("ab" if begun else "wb") as target:
            done = _poured(answer, target, begun, total, progress)
    if total is not None and done != total:
        raise ValueError(f"the connection ended after {done} of {total} bytes")


def _range_headers(part: Path, validator: Path) -> dict[str, str]:
    """Continue only what is surely the same file."""
    known = validator.read_text("utf-8") if validator.is_file() else ""
    if not known or not part.is_file() or not part.stat().st_size:
        return {}
    return {"Range": f"bytes={part.stat().st_size}-", "If-Range": known}


def _validator_of(answer: http.client.HTTPResponse) -> str:
    """A strong entity tag or the time of change, as ``If-Range`` takes them."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _begins_at(answer: http.client.HTTPResponse, part: Path) -> int:
    """At which byte the answer goes on; 0 where the server begins again.

    A server that has changed its file, or knows no ranges, sends the whole.
    """
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    begun = part.stat().st_size
    told = answer.headers.get("Content-Range", "")
    if not told.startswith(f"bytes {begun}-"):
        raise ValueError(f"the server goes on with {told!r}, expected from byte {begun}")
    return begun


def _poured(
    answer: http.client.HTTPResponse,
    target: IO[bytes],
    begun: int,
    total: int | None,
    progress: Progress,
) -> int:
    done = begun
    progress(done, total)
    while block := answer.read(_BLOCK_BYTES):
        target.write(block)
        done += len(block)
        progress(done, total)
    return done


def _accepted(file: WeightFile, path: Path, address: str) -> Path:
    """Unpack, compare and rename what was downloaded. Raises ``ValueError`` for what is wrong."""
    part = _beside(path, PART_SUFFIX)
    _beside(path, _VALIDATOR_SUFFIX).unlink(missing_ok=True)
    try:
        if urllib.parse.urlsplit(address).path.endswith(".bz2"):
            _unpack(part)
        found = sha256_of(part)
        if file.sha256 and found != file.sha256:
            raise ValueError(
                f"its {part.stat().st_size} bytes have the SHA-256 {found}, expected {file.sha256}"
            )
    except (OSError, ValueError, EOFError) as error:
        part.unlink()
        raise ValueError(str(error)) from error
    part.replace(path)
    keep_checksum(path, found)
    return path


def _unpack(part: Path) -> None:
    unpacked = _beside(part, ".unpacked")
    try:
        with bz2.open(part) as packed, unpacked.open("wb") as target:
            shutil.copyfileobj(packed, target)
        unpacked.replace(part)
    finally:
        unpacked.unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"it cannot be reached ({error.reason})"
    return str(error) or type(error).__name__
