from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = _("Other systems")

    def ready(self) -> None:
        # Imported so that every kind of event is known, also where no service was called yet.
        import checkin.events  # noqa: F401
        import recognition.events  # noqa: F401
        import roster.events  # noqa: F401
        from accounts.events import receive_events
        from checkin.people.kinds import keep_in_mind
        from checkin.retention import expire_too
        from integrations import people
        from integrations.api import schema  # noqa: F401  its describer finds extensions by import
        from integrations.events.services import keep_events
        from integrations.payroll import retention

        receive_events(keep_events)
        keep_in_mind(people.KINDS, people.EXCEPTIONS)
        expire_too(people.expired)
        expire_too(retention.expired)
        post_migrate.connect(
            _ready_profiles, sender=self, dispatch_uid="integrations.ready_profiles"
        )


def _ready_profiles(**kwargs: Any) -> None:
    """Also called where the migrations of this app are taken back, or not all were made."""
    from django.db import connection

    from integrations.payroll.models import ExportProfile
    from integrations.payroll.ready import ensure_ready_profiles

    if ExportProfile._meta.db_table in connection.introspection.table_names():
        ensure_ready_profiles()
