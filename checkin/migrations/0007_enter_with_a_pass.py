import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("checkin", "0006_know_passes_and_own_devices"),
        ("roster", "0006_open_entry_to_passes_and_own_devices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EntryPass",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code_hash", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "issued_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="issued at"
                    ),
                ),
                ("expires_at", models.DateTimeField(db_index=True, verbose_name="valid until")),
                ("used_at", models.DateTimeField(blank=True, null=True, verbose_name="used at")),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="revoked at"),
                ),
                (
                    "issued_by",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: the system, after the one before was used.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="issued by",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entry_passes",
                        to="roster.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "entry pass",
                "verbose_name_plural": "entry passes",
                "ordering": ["-issued_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="PassUse",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code_hash", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("one_time", "mailed"), ("rotating", "on the own page")],
                        max_length=8,
                        verbose_name="kind",
                    ),
                ),
                ("at", models.DateTimeField(db_index=True, verbose_name="at")),
                (
                    "entry_pass",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="use",
                        to="checkin.entrypass",
                        verbose_name="entry pass",
                    ),
                ),
                (
                    "kiosk",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="pass_uses",
                        to="checkin.kiosk",
                        verbose_name="kiosk",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        blank=True,
                        help_text=(
                            "Empty where it opened no session, or could have been one of several."
                        ),
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="pass_uses",
                        to="roster.classsession",
                        verbose_name="class session",
                    ),
                ),
                (
                    "student",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pass_uses",
                        to="roster.student",
                        verbose_name="student",
                    ),
                ),
            ],
            options={
                "verbose_name": "use of a pass",
                "verbose_name_plural": "uses of passes",
                "ordering": ["-at", "-pk"],
            },
        ),
        migrations.AddConstraint(
            model_name="entrypass",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revoked_at", None), ("used_at", None)),
                fields=("student",),
                name="checkin_one_entry_pass_per_student",
            ),
        ),
        migrations.AddConstraint(
            model_name="entrypass",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("issued_at"))),
                name="checkin_entry_pass_expires_after_issue",
            ),
        ),
        migrations.AddConstraint(
            model_name="entrypass",
            constraint=models.CheckConstraint(
                condition=models.Q(("used_at", None), ("revoked_at", None), _connector="OR"),
                name="checkin_entry_pass_used_or_revoked",
            ),
        ),
        migrations.AddConstraint(
            model_name="passuse",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("entry_pass__isnull", False), ("kind", "one_time")),
                    models.Q(("entry_pass", None), ("kind", "rotating")),
                    _connector="OR",
                ),
                name="checkin_pass_use_kind_known",
            ),
        ),
    ]
