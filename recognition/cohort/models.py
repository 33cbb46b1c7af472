"""The photos of a cohort on their way in: one import, and a row for each file of its ZIP."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.sealing import open_picture
from roster.models import Course, Student


class PhotoImport(models.Model):
    """A ZIP of photos for one course. The archive itself is not kept."""

    class Status(models.TextChoices):
        RECEIVING = "receiving", _("being received")
        WORKING = "working", _("being worked on")
        FINISHED = "finished", _("finished")
        STOPPED = "stopped", _("stopped")

    UNFINISHED = (Status.RECEIVING, Status.WORKING)

    course = models.ForeignKey(
        Course, verbose_name=_("course"), on_delete=models.CASCADE, related_name="photo_imports"
    )
    archive_name = models.CharField(_("file"), max_length=200)
    replaces_known = models.BooleanField(
        _("replaces known faces"),
        help_text=_("Whether students who can be recognised already get a new template."),
    )
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.RECEIVING)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("photo import")
        verbose_name_plural = _("photo imports")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["receiving", "working"], finished_at=None)
                | Q(status__in=["finished", "stopped"], finished_at__isnull=False),
                name="recognition_photo_import_finished_has_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.course.code} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_unfinished(self) -> bool:
        return self.status in self.UNFINISHED


class PhotoImportItem(models.Model):
    """One file of the ZIP. Its picture exists, encrypted, only as long as it waits."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waits")
        USED = "used", _("used")
        HELD = "held", _("waits for the student's consent")
        REFUSED = "refused", _("not used")

    photo_import = models.ForeignKey(
        PhotoImport,
        verbose_name=_("photo import"),
        on_delete=models.CASCADE,
        related_name="items",
    )
    file_name = models.CharField(_("file"), max_length=255)
    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="photo_import_items",
    )
    state = models.CharField(_("state"), max_length=16, choices=State)
    verdict = models.CharField(_("verdict"), max_length=500, blank=True)
    sealed_picture = models.BinaryField(_("encrypted picture"), editable=False, default=bytes)
    # Until then one process works on the student's pictures; who was killed does not renew it.
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("photo of an import")
        verbose_name_plural = _("photos of imports")
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="waiting", student__isnull=False)
                | Q(state__in=["used", "held", "refused"], sealed_picture=b""),
                name="recognition_import_keeps_waiting_pictures_only",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.photo_import_id} {self.pk}"

    def picture(self) -> bytes:
        """The decrypted file as it was sent; raises `TemplateUnreadableError`."""
        assert self.student_id is not None  # noqa: S101
        return open_picture(bytes(self.sealed_picture), student_pk=self.student_id)
