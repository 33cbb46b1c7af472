from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RecognitionConfig(AppConfig):
    name = "recognition"
    verbose_name = _("Faces")

    def ready(self) -> None:
        from recognition import checks  # noqa: F401  registers them
