"""What the kiosks ask people to look at: strangers, spoofs and wrong passes."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import numpy as np
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.keyring import keyring
from recognition.engine.types import Embedding
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession, Student


class Alert(models.Model):
    """One person or kiosk that deserves a look, however often it happened in the session.

    The picture and the embedding are encrypted and sealed to the alert, so that a row's bytes
    moved to another row do not open. The picture stays until somebody decides, the embedding
    of a guest until the alert expires, and that of an ignored face until the session is over.
    """

    class Kind(models.TextChoices):
        STRANGER = "stranger", _("stranger")
        SPOOF = "spoof", _("repeated spoof attempts")
        DENIED = "denied", _("denied after wrong passes")

    class Decision(models.TextChoices):
        OPEN = "open", _("open")
        IDENTIFIED = "identified", _("identified")
        IGNORED = "ignored", _("ignored")
        GUEST = "guest", _("known guest")
        LET_IN = "let_in", _("recorded after all")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="alerts",
    )
    kiosk = models.ForeignKey(
        "checkin.Kiosk",
        verbose_name=_("kiosk"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="alerts",
    )
    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        null=True,
        related_name="alerts",
        help_text=_("Whose pass was asked for, or who it is by a lecturer's word."),
    )
    first_at = models.DateTimeField(_("first"), default=timezone.now, db_index=True)
    last_at = models.DateTimeField(_("last"), default=timezone.now)
    times = models.PositiveIntegerField(_("times"), default=1)
    seal_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_picture = models.BinaryField(default=bytes)
    sealed_embedding = models.BinaryField(default=bytes)
    model_id = models.CharField(_("model"), max_length=64, blank=True)
    decision = models.CharField(
        _("decision"), max_length=10, choices=Decision, default=Decision.OPEN
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("decided by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    decided_at = models.DateTimeField(_("decided at"), null=True)
    due_at = models.DateTimeField(_("mail is due at"), null=True, editable=False, db_index=True)
    mailed_at = models.DateTimeField(_("mailed at"), null=True)
    held_back = models.BooleanField(
        _("not mailed: too many"), default=False, help_text=_("Others of the session were mailed.")
    )

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-last_at", "-pk"]
        indexes = [models.Index(fields=["session", "kind"], name="checkin_alert_session_kind")]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["stranger", "spoof", "denied"]),
                name="checkin_alert_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(decision__in=["open", "identified", "ignored", "guest", "let_in"]),
                name="checkin_alert_decision_known",
            ),
            models.CheckConstraint(
                condition=Q(times__gte=1, last_at__gte=F("first_at")),
                name="checkin_alert_happened_once_or_more",
            ),
            models.CheckConstraint(
                condition=Q(decision="open", decided_at=None)
                | Q(~Q(decision="open"), decided_at__isnull=False),
                name="checkin_alert_decided_has_time",
            ),
            models.CheckConstraint(
                condition=Q(decision="open") | Q(sealed_picture=b"", due_at=None),
                name="checkin_alert_picture_only_while_open",
            ),
            models.CheckConstraint(
                condition=Q(sealed_embedding=b"")
                | Q(~Q(model_id=""), kind="stranger", decision__in=["open", "ignored", "guest"]),
                name="checkin_alert_embedding_only_of_strangers",
            ),
            models.CheckConstraint(
                condition=~Q(decision="identified") | Q(student__isnull=False),
                name="checkin_alert_identified_names_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(kind="spoof") | Q(student=None) | Q(decision="identified"),
                name="checkin_alert_spoof_accuses_nobody",
            ),
            models.CheckConstraint(
                condition=~Q(decision__in=["guest", "let_in"]) | Q(kind="stranger"),
                name="checkin_alert_only_strangers_are_guests",
            ),
            models.UniqueConstraint(
                fields=["session", "kiosk"],
                condition=Q(kind="spoof"),
                name="checkin_alert_one_of_spoofs_per_kiosk",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.kind} {self.first_at:%Y-%m-%d %H:%M:%S}"

    @property
    def expires_at(self) -> datetime:
        """When it is deleted, decided or not, and until when a guest is known."""
        return self.last_at + timedelta(days=settings.ALERT_RETENTION_DAYS)

    def seal_picture(self, jpeg: bytes) -> None:
        self.sealed_picture = keyring().encrypt(self._header("jpeg") + jpeg)

    def picture(self) -> bytes:
        """The picture as a JPEG. Raises `TemplateUnreadableError`."""
        return self._opened(self.sealed_picture, "jpeg")

    def seal_embedding(self, vector: Embedding) -> None:
        """Set the encrypted vector; ``model_id`` must be set before."""
        if not np.isfinite(vector).all():
            raise ValueError("the vector holds NaN or infinity; it is no embedding")
        plain = self._header(self.model_id) + np.asarray(vector, dtype="<f4").tobytes()
        self.sealed_embedding = keyring().encrypt(plain)

    def embedding(self) -> Embedding:
        """Of unit length. Raises `TemplateUnreadableError`."""
        plain = self._opened(self.sealed_embedding, self.model_id)
        return np.frombuffer(plain, dtype="<f4").astype(np.float32)

    def _header(self, kind: str) -> bytes:
        return f"alert|{self.seal_id}|{kind}|".encode()

    def _opened(self, sealed: bytes | memoryview, kind: str) -> bytes:
        try:
            plain = keyring().decrypt(bytes(sealed))
        except InvalidToken as error:
            raise TemplateUnreadableError(
                f"none of the {len(settings.TEMPLATE_KEYS)} TEMPLATE_KEYS opens alert {self.pk}: "
                "bring the key back or decide without the picture"
            ) from error
        header = self._header(kind)
        if not plain.startswith(header):
            raise TemplateUnreadableError(f"the bytes of alert {self.pk} are of another alert")
        return plain[len(header) :]
