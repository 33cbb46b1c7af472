"""Consent to biometrics and the templates that it allows."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.engine.template_updates import TemplateParts
from recognition.engine.thresholds import Curve, IdentificationThresholds
from recognition.engine.types import Embedding
from recognition.sealing import open_parts, open_picture, open_vector
from roster.models import Student


class Consent(models.Model):
    """A student's word that their face may be used, in which version of the policy, and its end.

    A row that was never given but has ended says that the student declined.
    """

    class GivenVia(models.TextChoices):
        IN_PERSON = "in_person", _("in person")
        WEB = "web", _("on the web page")

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="consents"
    )
    policy_version = models.CharField(_("policy version"), max_length=32)
    given_via = models.CharField(_("given"), max_length=16, choices=GivenVia)
    given_at = models.DateTimeField(_("given at"), default=timezone.now, null=True, blank=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recorded by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ["-given_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(withdrawn_at__isnull=True),
                name="recognition_one_consent_in_force",
            ),
            models.CheckConstraint(
                condition=Q(given_via__in=["in_person", "web"]),
                name="recognition_consent_given_via_known",
            ),
            models.CheckConstraint(
                condition=Q(given_at__isnull=False) | Q(withdrawn_at__isnull=False),
                name="recognition_consent_given_or_declined",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.policy_version}"


class FaceTemplate(models.Model):
    """The encrypted embedding of one student, made by one model. Rows are never rewritten.

    A new enrolment revokes the row in force and adds another, so a gallery that holds the same
    ids holds the same vectors.
    """

    class Origin(models.TextChoices):
        ENROLMENT = "enrolment", _("enrolment")
        CHECK_IN = "check_in", _("updated by a check-in")
        REVERTED = "reverted", _("brought back")

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="face_templates"
    )
    model_id = models.CharField(_("model"), max_length=64)
    sealed_vector = models.BinaryField(_("encrypted vector"), editable=False)
    # The embeddings of the single pictures; empty where only their mean was kept.
    sealed_parts = models.BinaryField(_("encrypted parts"), editable=False, default=bytes)
    origin = models.CharField(_("made by"), max_length=16, choices=Origin, default=Origin.ENROLMENT)
    previous = models.ForeignKey(
        "self",
        verbose_name=_("previous template"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="next_ones",
        help_text=_("Which one it was updated from, or that it took the place of."),
    )
    similarity = models.FloatField(
        _("similarity"),
        null=True,
        help_text=_("Of the check-in that updated it to the template before."),
    )
    photo_count = models.PositiveSmallIntegerField(_("photos"))
    agreement = models.FloatField(
        _("agreement"),
        null=True,
        help_text=_("Smallest cosine similarity between two of the photos; empty for one photo."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("face template")
        verbose_name_plural = _("face templates")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["student", "model_id"],
                condition=Q(revoked_at__isnull=True),
                name="recognition_one_template_in_force",
            ),
            models.CheckConstraint(
                condition=Q(origin__in=["enrolment", "check_in", "reverted"]),
                name="recognition_template_origin_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.model_id}"

    def vector(self) -> Embedding:
        """The decrypted embedding, ``(d,)`` float32; raises `TemplateUnreadableError`."""
        return open_vector(
            bytes(self.sealed_vector), student_pk=self.student_id, model_id=self.model_id
        )

    def parts(self) -> TemplateParts:
        """The decrypted embeddings that it is made of; raises `TemplateUnreadableError`.

        Where only their mean was kept, that stands for the whole enrolment.
        """
        if not self.sealed_parts:
            return TemplateParts.of_enrolment(self.vector()[None])
        return open_parts(
            bytes(self.sealed_parts), student_pk=self.student_id, model_id=self.model_id
        )


class FaceRegistration(models.Model):
    """Pictures of one student on their way to a template, and what was decided about them.

    The pictures exist only until the decision; the row stays as its record.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("being prepared")
        AWAITING_CONSENT = "awaiting_consent", _("waits for the student's consent")
        PENDING = "pending", _("waits for approval")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")
        CANCELLED = "cancelled", _("cancelled")

    class Origin(models.TextChoices):
        WEB = "web", _("by the student")
        IMPORT = "import", _("by a cohort import")

    OPEN = (Status.DRAFT, Status.AWAITING_CONSENT, Status.PENDING)

    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        related_name="face_registrations",
    )
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.DRAFT)
    origin = models.CharField(_("sent in"), max_length=8, choices=Origin, default=Origin.WEB)
    agreement = models.FloatField(
        _("agreement"),
        null=True,
        blank=True,
        help_text=_("Smallest cosine similarity between two of the photos; empty for one photo."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    submitted_at = models.DateTimeField(_("submitted at"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("decided by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("face registration")
        verbose_name_plural = _("face registrations")
        ordering = ["submitted_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(status__in=["draft", "awaiting_consent", "pending"]),
                name="recognition_one_open_registration",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "draft",
                        "awaiting_consent",
                        "pending",
                        "approved",
                        "rejected",
                        "cancelled",
                    ]
                ),
                name="recognition_registration_status_known",
            ),
            models.CheckConstraint(
                condition=Q(origin__in=["web", "import"]),
                name="recognition_registration_origin_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=["draft", "awaiting_consent", "pending"], decided_at__isnull=True
                )
                | Q(status__in=["approved", "rejected", "cancelled"], decided_at__isnull=False),
                name="recognition_registration_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="rejected", reason=""),
                name="recognition_rejection_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.status}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


class RegistrationPhoto(models.Model):
    """One usable picture of a registration: the head only, encrypted, gone with the decision."""

    registration = models.ForeignKey(
        FaceRegistration,
        verbose_name=_("registration"),
        on_delete=models.CASCADE,
        related_name="photos",
    )
    sealed_picture = models.BinaryField(_("encrypted picture"), editable=False)
    # Empty until there is consent: before that no template may be made.
    sealed_vector = models.BinaryField(_("encrypted vector"), editable=False, default=bytes)
    model_id = models.CharField(_("model"), max_length=64, blank=True)
    face_height_px = models.FloatField(_("height of the face (pixels)"))
    sharpness = models.FloatField(_("sharpness"))
    brightness = models.FloatField(_("brightness"))

    class Meta:
        verbose_name = _("registration photo")
        verbose_name_plural = _("registration photos")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.registration_id} {self.pk}"

    def picture(self) -> bytes:
        """The decrypted JPEG; raises `TemplateUnreadableError`."""
        return open_picture(bytes(self.sealed_picture), student_pk=self.registration.student_id)

    def vector(self) -> Embedding:
        """The decrypted embedding, ``(d,)`` float32; raises `TemplateUnreadableError`."""
        return open_vector(
            bytes(self.sealed_vector),
            student_pk=self.registration.student_id,
            model_id=self.model_id,
        )


class Resemblance(models.Model):
    """Two students whose faces the model may take for one: doubles, twins, look-alikes."""

    class Kind(models.TextChoices):
        SAME_FACE = "same_face", _("the same face twice")
        LOOK_ALIKE = "look_alike", _("look-alike")

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="resemblances"
    )
    other = models.ForeignKey(
        Student, verbose_name=_("other student"), on_delete=models.CASCADE, related_name="+"
    )
    similarity = models.FloatField(_("similarity"))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    found_at = models.DateTimeField(_("found at"), default=timezone.now)

    class Meta:
        verbose_name = _("resemblance")
        verbose_name_plural = _("resemblances")
        ordering = ["-similarity"]
        constraints = [
            models.UniqueConstraint(
                fields=["student", "other"], name="recognition_resemblance_once"
            ),
            models.CheckConstraint(
                condition=~Q(student=models.F("other")), name="recognition_resembles_another"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["same_face", "look_alike"]),
                name="recognition_resemblance_kind_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.other_id} {self.kind}"


class StudentFace(Student):
    """A student seen from recognition's side: can they be recognised, and if not, why."""

    class Meta:
        proxy = True
        verbose_name = _("face")
        verbose_name_plural = _("faces")


class FaceMistake(models.Model):
    """The encrypted embedding of a face that a template matched and that was said not to be its
    person's. It goes with the template, and when the template is revoked.
    """

    template = models.ForeignKey(
        FaceTemplate,
        verbose_name=_("face template"),
        on_delete=models.CASCADE,
        related_name="mistakes",
    )
    model_id = models.CharField(_("model"), max_length=64)
    sealed_vector = models.BinaryField(_("encrypted vector"), editable=False)
    made_at = models.DateTimeField(_("made at"), default=timezone.now)

    class Meta:
        verbose_name = _("mistaken face")
        verbose_name_plural = _("mistaken faces")
        ordering = ["-made_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.template_id} {self.made_at:%Y-%m-%d %H:%M:%S}"

    def vector(self) -> Embedding:
        """The decrypted embedding, ``(d,)`` float32; raises `TemplateUnreadableError`."""
        return open_vector(
            bytes(self.sealed_vector),
            student_pk=self.template.student_id,
            model_id=self.model_id,
        )


class GalleryEvaluation(models.Model):
    """What was measured on the institution's own templates. Its figures name nobody."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    model_id = models.CharField(_("model"), max_length=64)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.WAITING)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    heard_at = models.DateTimeField(_("last heard of"), null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    figures = models.JSONField(_("figures"), default=dict, blank=True)
    trouble = models.CharField(_("what went wrong"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "running", "done", "failed"]),
                name="recognition_evaluation_status_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} {self.created_at:%Y-%m-%d %H:%M}"


class IdentificationSetting(models.Model):
    """When the nearest template is a match, for one model. The newest row is in force.

    Rows are never rewritten, so they are the history too. Without any row, what was measured for
    the model when the software was made is in force.
    """

    model_id = models.CharField(_("model"), max_length=64)
    similarity_at_size = models.JSONField(
        _("threshold by the gallery's size"),
        help_text=_("Pairs of a number of people and the least similarity of a match."),
    )
    above_cohort_at_size = models.JSONField(
        _("the same beside a cohort"),
        default=list,
        blank=True,
        help_text=_("How far the similarity must exceed the weighted one to people outside."),
    )
    margin = models.FloatField(_("lead over the runner-up"))
    band = models.FloatField(_("width of the uncertain band"))
    target_fpir = models.FloatField(_("strangers taken for somebody (FPIR)"))
    evaluation = models.ForeignKey(
        GalleryEvaluation,
        verbose_name=_("evaluation"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="settings",
    )
    applied_at = models.DateTimeField(_("applied at"), default=timezone.now)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("applied by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("threshold")
        verbose_name_plural = _("thresholds")
        ordering = ["-applied_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(target_fpir__gt=0, target_fpir__lt=1),
                name="recognition_target_fpir_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(margin__gte=0), name="recognition_margin_is_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(band__gte=0), name="recognition_band_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} {self.applied_at:%Y-%m-%d %H:%M}"

    def thresholds(self) -> IdentificationThresholds:
        return IdentificationThresholds(
            similarity_at_size=_curve(self.similarity_at_size),
            above_cohort_at_size=_curve(self.above_cohort_at_size),
            margin=self.margin,
            band=self.band,
        )


def _curve(points: list[tuple[int, float]]) -> Curve:
    """JSON has lists only."""
    return tuple((int(size), float(similarity)) for size, similarity in points)


from recognition.cohort.models import PhotoImport, PhotoImportItem  # noqa: E402, F401
