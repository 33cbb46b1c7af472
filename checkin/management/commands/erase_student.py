from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from checkin.people.erasure import (
    Account,
    ErasureRefusedError,
    erase_student,
    goes_with,
    student_called,
)
from checkin.people.kinds import Kept


class Command(BaseCommand):
    help = (
        "Erase everything that is kept of a student, whom number and name tell together. See with "
        "--dry-run what would go. The receipt is mailed to the student."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--student-id", required=True, help="the student number")
        parser.add_argument("--name", required=True, help="the name as the roster has it")
        parser.add_argument(
            "--delete-account", action="store_true", help="the login goes too; else it is unlinked"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.DELETE if options["delete_account"] else Account.UNLINK
        try:
            student = student_called(student_id=options["student_id"], name=options["name"])
            if options["dry_run"]:
                self._list(goes_with(student, account), "would go")
                return
            receipt = erase_student(student=student, account=account)
        except ErasureRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal
        self._list(receipt.erased, "erased")
        self.stdout.write(f"A search afterwards found {receipt.remaining} rows.")

    def _list(self, kinds: list[Kept] | tuple[Kept, ...], verb: str) -> None:
        for kept in kinds:
            self.stdout.write(f"{kept.kind.label}: {kept.count} {verb}")
