"""Only so that Django finds them: they are used from their own modules."""

from integrations.events.models import OutboxHead, OutboxMessage
from integrations.notifications.models import Notification, NotificationChannel
from integrations.payroll.models import ExportProfile, ExportRun, ExportSchedule
from integrations.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ExportProfile",
    "ExportRun",
    "ExportSchedule",
    "Notification",
    "NotificationChannel",
    "OutboxHead",
    "OutboxMessage",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
