"""Only so that Django finds them: they are used from their own modules."""

from integrations.events.models import OutboxHead, OutboxMessage

__all__ = ["OutboxHead", "OutboxMessage"]
