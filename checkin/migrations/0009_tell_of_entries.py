import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

HOW_OFTEN = [
    ("never", "never"),
    ("at_once", "at once"),
    ("soon", "every quarter of an hour"),
    ("daily", "once a day"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("checkin", "0008_alert_of_strangers"),
        ("roster", "0006_open_entry_to_passes_and_own_devices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="attendance",
            index=models.Index(fields=["arrived_at"], name="checkin_attendance_arrived"),
        ),
        migrations.CreateModel(
            name="NoticeChoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "how_often",
                    models.CharField(choices=HOW_OFTEN, max_length=8, verbose_name="how often"),
                ),
                (
                    "chosen_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="chosen at"
                    ),
                ),
                (
                    "course",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: it is about the own entries, in every course.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notice_choices",
                        to="roster.course",
                        verbose_name="course",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notice_choices",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "choice of notices of entry",
                "verbose_name_plural": "choices of notices of entry",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("course", None)),
                        fields=("user",),
                        name="checkin_notice_choice_once_on_own_entries",
                    ),
                    models.UniqueConstraint(
                        fields=("user", "course"), name="checkin_notice_choice_once_per_course"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("course", None), ("how_often__in", ["never", "at_once", "daily"])
                            ),
                            models.Q(
                                ("course__isnull", False),
                                ("how_often__in", ["never", "soon", "daily"]),
                            ),
                            _connector="OR",
                        ),
                        name="checkin_notice_choice_how_often_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DigestMarker",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("zone", models.CharField(max_length=64, verbose_name="time zone")),
                (
                    "how_often",
                    models.CharField(choices=HOW_OFTEN, max_length=8, verbose_name="how often"),
                ),
                ("told_until", models.DateTimeField(verbose_name="told until")),
            ],
            options={
                "verbose_name": "marker of told entries",
                "verbose_name_plural": "markers of told entries",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("zone", "how_often"), name="checkin_digest_marker_once_per_zone"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("how_often__in", ["soon", "daily"])),
                        name="checkin_digest_marker_how_often_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecognitionInvitation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("came", models.PositiveIntegerField(verbose_name="times come")),
                (
                    "without_face",
                    models.PositiveIntegerField(verbose_name="of them without the face"),
                ),
                ("mistaken", models.PositiveIntegerField(verbose_name="recognised wrongly")),
                ("accepted", models.PositiveIntegerField(verbose_name="times recognised")),
                ("barely", models.PositiveIntegerField(verbose_name="of them barely")),
                (
                    "sent_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="sent at"),
                ),
                (
                    "sent_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="sent by",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recognition_invitations",
                        to="roster.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "invitation to register the face again",
                "verbose_name_plural": "failing recognition",
                "ordering": ["-sent_at", "-pk"],
                "indexes": [
                    models.Index(fields=["student", "-sent_at"], name="checkin_invitation_sent")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("barely__lte", models.F("accepted")),
                            ("without_face__lte", models.F("came")),
                        ),
                        name="checkin_invitation_figures_fit",
                    )
                ],
            },
        ),
    ]
