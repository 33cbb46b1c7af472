"""Only so that Django finds them: they are used from their own modules."""

from integrations.events.models import OutboxHead, OutboxMessage
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule

__all__ = ["ExportProfile", "ExportRun", "ExportSchedule", "OutboxHead", "OutboxMessage"]
