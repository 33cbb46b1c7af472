"""In the place of post_office's command, which does not know that servers claim mails."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.mail_delivery import deliver_due_mails


class Command(BaseCommand):
    help = "Send the mails that wait. Servers do it by themselves."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deliver_due_mails()
        except OSError as error:
            raise CommandError(f"No mail server answers, the mails wait: {error}") from error
