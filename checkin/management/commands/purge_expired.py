from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from checkin.retention import expired, overwrite_what_is_deleted, purge


class Command(BaseCommand):
    help = "Delete what is past its retention period. Run it once a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["dry_run"]:
            for found in expired(now):
                self.stdout.write(
                    f"{found.kind}: {found.rows.count()} past {found.kept_days} days would go"
                )
            return
        for kind, count in purge(now).items():
            self.stdout.write(f"{kind}: {count} deleted")
        overwrite_what_is_deleted()
