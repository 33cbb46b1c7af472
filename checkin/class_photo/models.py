"""Pictures of a class that wait until a lecturer has looked at them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.keyring import keyring
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face of a class photo, its box in pixels of the picture, and who it may be.

    ``student`` is whom the class as a whole leaves for it, ``similar`` the students most like it,
    nearest first; both are primary keys. ``doubtful``: somebody else is as likely.
    """

    left: int
    top: int
    right: int
    bottom: int
    student: int | None
    doubtful: bool
    similarity: float | None
    similar: tuple[int, ...]


class ClassPhoto(models.Model):
    """One picture, from the moment it arrives until the attendance is confirmed or given up.

    The picture and what was found in it are encrypted and sealed to the session, so that a row
    moved to another session does not open. Embeddings are not kept at all.
    """

    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="class_photos",
    )
    uploaded_at = models.DateTimeField(_("uploaded at"), default=timezone.now, db_index=True)
    # SHA-256 of the file as it was sent: the same picture is not taken twice.
    digest = models.CharField(max_length=64, editable=False)
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    faces_left_out = models.PositiveIntegerField(_("faces left out"), default=0)
    sealed_picture = models.BinaryField()
    sealed_faces = models.BinaryField()

    class Meta:
        verbose_name = _("class photo")
        verbose_name_plural = _("class photos")
        ordering = ["uploaded_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "digest"], name="checkin_class_photo_once_per_session"
            )
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.uploaded_at:%Y-%m-%d %H:%M:%S}"

    def seal(self, *, picture_jpeg: bytes, faces: list[FoundFace]) -> None:
        """Set both encrypted fields. The session and the digest must be set before."""
        found = json.dumps([asdict(face) for face in faces]).encode()
        self.sealed_picture = keyring().encrypt(self._header("jpeg") + picture_jpeg)
        self.sealed_faces = keyring().encrypt(self._header("faces") + found)

    def picture(self) -> bytes:
        """The picture as a JPEG. Raises `TemplateUnreadableError`."""
        return self._opened(self.sealed_picture, "jpeg")

    def faces(self) -> list[FoundFace]:
        """Raises `TemplateUnreadableError`."""
        found = json.loads(self._opened(self.sealed_faces, "faces"))
        return [FoundFace(**{**face, "similar": tuple(face["similar"])}) for face in found]

    def _header(self, kind: str) -> bytes:
        return f"class photo|{self.session_id}|{self.digest}|{kind}|".encode()

    def _opened(self, sealed: bytes | memoryview, kind: str) -> bytes:
        try:
            plain = keyring().decrypt(bytes(sealed))
        except InvalidToken as error:
            raise TemplateUnreadableError(
                f"none of the {len(settings.TEMPLATE_KEYS)} TEMPLATE_KEYS opens class photo "
                f"{self.pk}: bring the key back or take another picture"
            ) from error
        header = self._header(kind)
        if not plain.startswith(header):
            raise TemplateUnreadableError(
                f"class photo {self.pk} was sealed for another session: remove it and take "
                "another picture"
            )
        return plain[len(header) :]
