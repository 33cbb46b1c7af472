from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from checkin.sessions.services import close_due_sessions


class Command(BaseCommand):
    help = "Close every session whose time is over and write who was absent."

    def handle(self, *args: Any, **options: Any) -> None:
        count = close_due_sessions(timezone.now())
        self.stdout.write(f"{count} sessions were closed.")
