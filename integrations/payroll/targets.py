"""Where files go: a folder, a bucket, a webhook.

A target is called with a file that may have arrived already, when whoever sent it before was
stopped in between: the same name with the same content is a success, another content is not.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from storages.backends.s3 import S3Storage

from integrations.sealing import SecretUnreadableError
from integrations.targets import NotReachedError, TargetRefusedError, post
from integrations.webhooks.models import WebhookEndpoint
from integrations.webhooks.signing import headers_of


class DeliveryError(Exception):
    """The file did not arrive; the text is for whoever looks after the schedule."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file on its way. ``delivery_id`` is the same at each attempt."""

    file_name: str
    content: bytes
    content_type: str
    delivery_id: uuid.UUID


#: Brings a parcel to a place and says where it lies now.
#:
#: Raises `DeliveryError` where it cannot.
Deliver = Callable[[str, Parcel], str]
#: Says what is wrong with a place; empty if nothing is.
Check = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Target:
    deliver: Deliver
    why_not: Check


# A folder


def why_no_folder(place: str) -> str:
    try:
        _folder(place)
    except DeliveryError as error:
        return str(error)
    return ""


def to_folder(place: str, parcel: Parcel) -> str:
    """Write the file whole or not at all, and over no other."""
    folder = _folder(place)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Looked at again: what was created or swapped meanwhile may be a link to elsewhere.
        folder = _folder(place)
        final = folder / parcel.file_name
        _write_new(final, parcel.content)
    except OSError as error:
        raise DeliveryError(
            _("The folder cannot be written: %(error)s.") % {"error": error.strerror or error}
        ) from error
    return str(final)


def _folder(place: str) -> Path:
    if not settings.PAYROLL_EXPORT_DIR:
        raise DeliveryError(
            _("The server allows no folder. Its administrator sets PAYROLL_EXPORT_DIR.")
        )
    root = Path(settings.PAYROLL_EXPORT_DIR).resolve()
    folder = (root / place.strip()).resolve()
    if "\0" in place or not folder.is_relative_to(root):
        raise DeliveryError(
            _("“%(place)s” does not lie below the folder that the server allows.")
            % {"place": place}
        )
    return folder


def _write_new(final: Path, content: bytes) -> None:
    if final.exists():
        _check_same(final.read_bytes(), content, final.name)
        return
    partial = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    try:
        # Whoever fetches files from the folder is of the server's group, not anybody.
        opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            # A rename would replace what somebody put there meanwhile; a link never does.
            os.link(partial, final)
        except FileExistsError:
            _check_same(final.read_bytes(), content, final.name)
        except OSError:
            # A file system without links (FAT, some network shares): the name is taken first.
            os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
            partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)


def _check_same(there: bytes, content: bytes, name: str) -> None:
    if there != content:
        raise DeliveryError(
            _("There is another file with the name %(name)s already, and it is not replaced.")
            % {"name": name}
        )


# A bucket


def why_no_bucket(place: str) -> str:
    if not settings.PAYROLL_S3_BUCKET:
        return _("The server knows no bucket. Its administrator sets PAYROLL_S3_BUCKET.")
    if ".." in PurePosixPath(place).parts:
        return _("“%(place)s” is no path in a bucket.") % {"place": place}
    return ""


def to_bucket(place: str, parcel: Parcel) -> str:
    """Put the file under a key that nothing had before."""
    if why_not := why_no_bucket(place):
        raise DeliveryError(why_not)
    key = str(PurePosixPath(place.strip().strip("/")) / parcel.file_name)
    try:
        _put_new(_bucket(), key, parcel)
    except (BotoCoreError, ClientError) as error:
        raise DeliveryError(
            _("The bucket did not take the file: %(error)s.") % {"error": _told(error)}
        ) from error
    return f"s3://{settings.PAYROLL_S3_BUCKET}/{key}"


def _bucket() -> Any:
    return S3Storage(
        bucket_name=settings.PAYROLL_S3_BUCKET,
        endpoint_url=settings.PAYROLL_S3_ENDPOINT_URL or None,
        region_name=settings.PAYROLL_S3_REGION or None,
        default_acl=None,
    ).bucket


def _put_new(bucket: Any, key: str, parcel: Parcel) -> None:
    there = bucket.Object(key)
    try:
        # The condition is the bucket's: of two that put at once, one is refused.
        there.put(
            Body=parcel.content,
            ContentType=parcel.content_type,
            IfNoneMatch="*",
            Metadata={"sha256": hashlib.sha256(parcel.content).hexdigest()},
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
            raise
        _check_same(there.get()["Body"].read(), parcel.content, parcel.file_name)


def _told(error: Exception) -> str:
    """Without the request, which may hold keys."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "")) or type(error).__name__
    return type(error).__name__


# A webhook


def why_no_webhook(place: str) -> str:
    try:
        _webhook(place)
    except DeliveryError as error:
        return str(error)
    return ""


def to_webhook(place: str, parcel: Parcel) -> str:
    """Post the file, signed with the webhook's secret; its id is the same at each attempt."""
    webhook, at = _webhook(place), timezone.now()
    try:
        signed = headers_of(
            webhook.secrets(at), event_id=str(parcel.delivery_id), at=at, body=parcel.content
        )
        answer = post(
            webhook.url,
            body=parcel.content,
            headers={
                "content-type": parcel.content_type,
                "content-disposition": f'attachment; filename="{parcel.file_name}"',
                **signed,
            },
        )
    except (NotReachedError, TargetRefusedError, SecretUnreadableError) as error:
        raise DeliveryError(str(error)) from error
    if not 200 <= answer.status < 300:
        raise DeliveryError(
            _("“%(name)s” did not take the file and answered %(status)d.")
            % {"name": webhook.name, "status": answer.status}
        )
    return webhook.name


def _webhook(place: str) -> WebhookEndpoint:
    webhook = WebhookEndpoint.objects.filter(name=place.strip(), disabled_at=None).first()
    if webhook is None:
        raise DeliveryError(
            _("There is no active webhook with the name “%(place)s”.") % {"place": place}
        )
    return webhook


#: By the codes of `ExportSchedule.Target`.
TARGETS: dict[str, Target] = {
    "folder": Target(to_folder, why_no_folder),
    "s3": Target(to_bucket, why_no_bucket),
    "webhook": Target(to_webhook, why_no_webhook),
}
