"""Only so that Django finds them: the pages register themselves."""

from integrations.notifications.admin import NotificationChannelAdmin
from integrations.payroll.admin import ExportProfileAdmin, ExportRunAdmin, ExportScheduleAdmin
from integrations.webhooks.admin import WebhookEndpointAdmin

__all__ = [
    "ExportProfileAdmin",
    "ExportRunAdmin",
    "ExportScheduleAdmin",
    "NotificationChannelAdmin",
    "WebhookEndpointAdmin",
]
