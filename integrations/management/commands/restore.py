from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from integrations.operations.backups import BackupError, Manifest, missing_keys, restore
from integrations.operations.key_rotation import look


class Command(BaseCommand):
    help = (
        "Bring a backup back into an empty database and prove that it can be read. Stop the site "
        "before. See docs/operations.md."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="the folder that `backup` has written")
        parser.add_argument(
            "--replace", action="store_true", help="delete what is in the database now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest = restore(options["folder"], replace=options["replace"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
        rows = manifest.rows
        self.stdout.write(
            f"Brought back as of {manifest.made_at}: {sum(rows.values())} rows of {len(rows)} "
            "tables, as many as were kept."
        )
        if _is_older_than_the_software():
            self.stdout.write("The backup is of an earlier version: run `manage.py migrate` now.")
        else:
            self._prove_that_it_opens(manifest)
        self.stdout.write(
            "Then run `manage.py purge_expired`, and erase again whom you erased since."
        )

    def _prove_that_it_opens(self, manifest: Manifest) -> None:
        found = list(look())
        closed = sum(one.unreadable for one in found)
        if closed:
            wanted = ", ".join(missing_keys(manifest)) or "none of those in use at the backup"
            raise CommandError(
                f"The database is back, but {closed} sealed values open with none of "
                f"TEMPLATE_KEYS. Missing keys, by fingerprint: {wanted}. Put them into "
                "TEMPLATE_KEYS; nothing has to be restored again."
            )
        sealed = sum(one.counts.total() for one in found)
        self.stdout.write(f"All {sealed} sealed values open with TEMPLATE_KEYS.")


def _is_older_than_the_software() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
