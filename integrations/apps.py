from django.apps import AppConfig
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
        from integrations.events.services import keep_events

        receive_events(keep_events)
        keep_in_mind(people.KINDS)
        expire_too(people.expired)
