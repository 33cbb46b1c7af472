from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.types import EngineError
from recognition.models import Consent
from recognition.photos import MAX_PHOTOS
from recognition.services import enrol_face, record_consent
from roster.models import Student


class Command(BaseCommand):
    help = (
        "Enrol a student's face from 1 to 5 pictures. Prints a verdict for each; the exit status "
        "is 1 when no picture could be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
        parser.add_argument("--student-id", required=True, help="the number on the roster")
        parser.add_argument(
            "--consent-in-person",
            action="store_true",
            help="record that the student has consented in person to the policy in force",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if len(options["photos"]) > MAX_PHOTOS:
            raise CommandError(
                f"Got {len(options['photos'])} pictures, expected 1 to {MAX_PHOTOS}."
            )
        try:
            student = Student.objects.get(student_id=options["student_id"])
        except Student.DoesNotExist:
            raise CommandError(
                f"No student has the number {options['student_id']!r}: add one to the roster first."
            ) from None
        try:
            photos = [path.read_bytes() for path in options["photos"]]
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        if options["consent_in_person"]:
            record_consent(student=student, given_via=Consent.GivenVia.IN_PERSON)
        try:
            result = enrol_face(student=student, photos=photos)
        except EngineError as error:
            raise CommandError(str(error)) from error
        for path, verdict in zip(options["photos"], result.verdicts, strict=False):
            self.stdout.write(f"{path}: {'used' if verdict.accepted else verdict.message}")
        if result.template is None:
            raise CommandError(result.message)
        self.stdout.write(result.message)
