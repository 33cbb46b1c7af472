import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recognition", "0004_call_faces_by_their_name")]

    operations = [
        migrations.CreateModel(
            name="FaceMistake",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("model_id", models.CharField(max_length=64, verbose_name="model")),
                ("sealed_vector", models.BinaryField(verbose_name="encrypted vector")),
                (
                    "made_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="made at"),
                ),
                (
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mistakes",
                        to="recognition.facetemplate",
                        verbose_name="face template",
                    ),
                ),
            ],
            options={
                "verbose_name": "mistaken face",
                "verbose_name_plural": "mistaken faces",
                "ordering": ["-made_at", "-pk"],
            },
        ),
    ]
