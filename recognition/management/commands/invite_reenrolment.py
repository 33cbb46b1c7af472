from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from recognition.switching import invite_to_enrol_again, who_must_enrol_again
from recognition.workers import active_model_id


class Command(BaseCommand):
    help = (
        "Mail the students whom only another model knows, and ask them to register their face "
        "again. Nobody is mailed twice as long as sent mails are kept (MAIL_RETENTION_DAYS); "
        "after that, it reminds whoever still has not."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count the students, mail nobody"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        model_id = active_model_id()
        if options["dry_run"]:
            count = who_must_enrol_again(model_id=model_id).count()
            self.stdout.write(
                f"{count} students must enrol again for {model_id}. Nobody was mailed."
            )
            return
        invited = invite_to_enrol_again(model_id=model_id)
        self.stdout.write(
            f"{invited.mailed} students were invited to enrol again for {model_id}, "
            f"{invited.before} had been already, {invited.without_address} have no address."
        )
