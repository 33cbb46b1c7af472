from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from checkin.alerts.mail import send_due_alerts
from checkin.notices.services import send_due_notices


class Command(BaseCommand):
    help = "Queue the gathered mails that are due: notices of entry, and alerts."

    def handle(self, *args: Any, **options: Any) -> None:
        at = timezone.now()
        notices, alerts = send_due_notices(at), send_due_alerts(at)
        self.stdout.write(f"{notices} notices of entry and {alerts} alerts were queued.")
