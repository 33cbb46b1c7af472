from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.operations.key_rotation import Column, Found, look, rotate

#: A process that is being restarted may seal with an old key until it is; then it ends.
ROUNDS = 3


class Command(BaseCommand):
    help = (
        "Seal anew, under the first of TEMPLATE_KEYS, whatever an older key sealed. The site may "
        "run meanwhile, and it may be ended and run again. See docs/operations.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            self._tell(list(look()), "would be sealed anew")
            return
        if len(settings.TEMPLATE_KEYS) < 2:
            self.stdout.write(
                "TEMPLATE_KEYS has one key. To change it, put the new one before it first."
            )
        for _round in range(ROUNDS):
            rotate(each_batch=self._tell_batch)
            found = list(look())
            if not any(one.old for one in found):
                break
        self._tell(found, "still sealed with an older key")
        self._judge(found)

    def _tell_batch(self, column: Column, count: int) -> None:
        self.stdout.write(f"{column}: {count} sealed anew")

    def _tell(self, found: list[Found], what: str) -> None:
        for one in found:
            line = f"{one.column}: {one.counts.total()} sealed, {one.old} {what}"
            if one.unreadable:
                line += f", {one.unreadable} that no key opens"
            self.stdout.write(line)
        if not found:
            self.stdout.write("Nothing is sealed.")

    def _judge(self, found: list[Found]) -> None:
        old = sum(one.old for one in found)
        if old:
            raise CommandError(
                f"{old} values are sealed with an older key again: a process still runs with the "
                "old TEMPLATE_KEYS. Restart all servers and workers, then run this again."
            )
        self.stdout.write(
            "Nothing is sealed with an older key. Keep the older keys as long as a backup from "
            "before is kept; then take them out of TEMPLATE_KEYS."
        )
        if any(one.unreadable for one in found):
            self.stderr.write(
                "What no key opens was left as it is. Bring the lost key back into TEMPLATE_KEYS, "
                "or ask those concerned to enrol again."
            )
