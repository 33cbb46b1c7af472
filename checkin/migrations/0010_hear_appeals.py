import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("checkin", "0009_tell_of_entries"),
        ("recognition", "0005_remember_mistaken_faces"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Appeal",
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
                        choices=[("question", "question"), ("not_me", "“not me”")],
                        max_length=8,
                        verbose_name="kind",
                    ),
                ),
                (
                    "text",
                    models.TextField(blank=True, max_length=1000, verbose_name="what is wrong"),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("accepted", "accepted"),
                            ("refused", "refused"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="open",
                        max_length=9,
                        verbose_name="state",
                    ),
                ),
                (
                    "opened_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="opened at"
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True, verbose_name="decided at")),
                ("answer", models.CharField(blank=True, max_length=300, verbose_name="answer")),
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
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="appeals",
                        to="roster.classsession",
                        verbose_name="class session",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="appeals",
                        to="roster.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "appeal",
                "verbose_name_plural": "appeals",
                "ordering": ["opened_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="Disowning",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="at")),
                ("at_kiosk", models.BooleanField(verbose_name="at the kiosk")),
                (
                    "appeal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="disownings",
                        to="checkin.appeal",
                        verbose_name="appeal",
                    ),
                ),
                (
                    "attempt",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="disowning",
                        to="checkin.checkinattempt",
                        verbose_name="check-in attempt",
                    ),
                ),
                (
                    "change",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="disowning",
                        to="checkin.attendancechange",
                        verbose_name="change",
                    ),
                ),
                (
                    "mistake",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="disowning",
                        to="recognition.facemistake",
                        verbose_name="mistaken face",
                    ),
                ),
            ],
            options={
                "verbose_name": "“not me”",
                "verbose_name_plural": "“not me”",
                "ordering": ["at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="KeptProbe",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("model_id", models.CharField(max_length=64, verbose_name="model")),
                ("sealed_vector", models.BinaryField(verbose_name="encrypted vector")),
                ("expires_at", models.DateTimeField(db_index=True, verbose_name="expires at")),
                (
                    "attempt",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="probe",
                        to="checkin.checkinattempt",
                        verbose_name="check-in attempt",
                    ),
                ),
                (
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="recognition.facetemplate",
                        verbose_name="face template",
                    ),
                ),
            ],
            options={
                "verbose_name": "kept probe",
                "verbose_name_plural": "kept probes",
                "ordering": ["expires_at", "pk"],
            },
        ),
        migrations.AddConstraint(
            model_name="appeal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "open")),
                fields=("session", "student"),
                name="checkin_one_open_appeal_per_record",
            ),
        ),
        migrations.AddConstraint(
            model_name="appeal",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["open", "accepted", "refused", "withdrawn"])),
                name="checkin_appeal_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="appeal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind", "not_me"),
                    models.Q(models.Q(("text", ""), _negated=True), ("kind", "question")),
                    _connector="OR",
                ),
                name="checkin_appeal_says_what_is_wrong",
            ),
        ),
        migrations.AddConstraint(
            model_name="appeal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at", None), ("status", "open")),
                    models.Q(
                        models.Q(("status", "open"), _negated=True), ("decided_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="checkin_appeal_decided_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="appeal",
            constraint=models.CheckConstraint(
                condition=models.Q(("answer", ""), ("status", "refused"), _negated=True),
                name="checkin_appeal_refused_has_answer",
            ),
        ),
    ]
