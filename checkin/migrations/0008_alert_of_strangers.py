import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("checkin", "0007_enter_with_a_pass"),
        ("roster", "0006_open_entry_to_passes_and_own_devices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("stranger", "stranger"),
                            ("spoof", "repeated spoof attempts"),
                            ("denied", "denied after wrong passes"),
                        ],
                        max_length=8,
                        verbose_name="kind",
                    ),
                ),
                (
                    "first_at",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="first"
                    ),
                ),
                (
                    "last_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="last"),
                ),
                ("times", models.PositiveIntegerField(default=1, verbose_name="times")),
                ("seal_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("sealed_picture", models.BinaryField(default=bytes)),
                ("sealed_embedding", models.BinaryField(default=bytes)),
                ("model_id", models.CharField(blank=True, max_length=64, verbose_name="model")),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("identified", "identified"),
                            ("ignored", "ignored"),
                            ("guest", "known guest"),
                            ("let_in", "recorded after all"),
                        ],
                        default="open",
                        max_length=10,
                        verbose_name="decision",
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True, verbose_name="decided at")),
                (
                    "due_at",
                    models.DateTimeField(
                        db_index=True, editable=False, null=True, verbose_name="mail is due at"
                    ),
                ),
                ("mailed_at", models.DateTimeField(null=True, verbose_name="mailed at")),
                (
                    "held_back",
                    models.BooleanField(
                        default=False,
                        help_text="Others of the session were mailed.",
                        verbose_name="not mailed: too many",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="decided by",
                    ),
                ),
                (
                    "kiosk",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="alerts",
                        to="checkin.kiosk",
                        verbose_name="kiosk",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alerts",
                        to="roster.classsession",
                        verbose_name="class session",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        help_text="Whose pass was asked for, or who it is by a lecturer's word.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alerts",
                        to="roster.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "alert",
                "verbose_name_plural": "alerts",
                "ordering": ["-last_at", "-pk"],
                "indexes": [
                    models.Index(fields=["session", "kind"], name="checkin_alert_session_kind")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["stranger", "spoof", "denied"])),
                        name="checkin_alert_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decision__in", ["open", "identified", "ignored", "guest", "let_in"])
                        ),
                        name="checkin_alert_decision_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("last_at__gte", models.F("first_at")), ("times__gte", 1)
                        ),
                        name="checkin_alert_happened_once_or_more",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("decision", "open")),
                            models.Q(
                                models.Q(("decision", "open"), _negated=True),
                                ("decided_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="checkin_alert_decided_has_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decision", "open"),
                            models.Q(("due_at", None), ("sealed_picture", b"")),
                            _connector="OR",
                        ),
                        name="checkin_alert_picture_only_while_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sealed_embedding", b""),
                            models.Q(
                                models.Q(("model_id", ""), _negated=True),
                                ("decision__in", ["open", "ignored", "guest"]),
                                ("kind", "stranger"),
                            ),
                            _connector="OR",
                        ),
                        name="checkin_alert_embedding_only_of_strangers",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision", "identified"), _negated=True),
                            ("student__isnull", False),
                            _connector="OR",
                        ),
                        name="checkin_alert_identified_names_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "spoof"), _negated=True),
                            ("student", None),
                            ("decision", "identified"),
                            _connector="OR",
                        ),
                        name="checkin_alert_spoof_accuses_nobody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision__in", ["guest", "let_in"]), _negated=True),
                            ("kind", "stranger"),
                            _connector="OR",
                        ),
                        name="checkin_alert_only_strangers_are_guests",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "spoof")),
                        fields=("session", "kiosk"),
                        name="checkin_alert_one_of_spoofs_per_kiosk",
                    ),
                ],
            },
        ),
    ]
