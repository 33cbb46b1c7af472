from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from integrations.operations.first_look import main


class Command(BaseCommand):
    """`manage.py` answers it before Django is loaded; here it is for `help` and `call_command`."""

    help = "Say what is missing or wrong, and what to do."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        raise SystemExit(main(["--json"] if options["json"] else []))
