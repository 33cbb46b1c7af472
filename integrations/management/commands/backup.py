from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from integrations.operations.backups import BackupError, Manifest, back_up


class Command(BaseCommand):
    help = "Write a backup of the running site into a new folder. See docs/operations.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("into", type=Path, help="the folder in which the backup's is made")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            folder = back_up(options["into"], at=timezone.now())
        except (BackupError, OSError) as error:
            raise CommandError(f"No backup was made: {error}") from error
        rows = Manifest.of(folder).rows
        self.stdout.write(f"{folder}: {sum(rows.values())} rows of {len(rows)} tables.")
        self.stdout.write(
            "It does not hold TEMPLATE_KEYS, without which it cannot be read: keep them apart."
        )
