from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count

from recognition.cohort.archive import ArchiveRefusedError
from recognition.cohort.coverage import by_standing, coverage_of, in_words
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.services import receive_photos, students_done
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import EngineError
from roster.models import Course


class Command(BaseCommand):
    help = (
        "Import a ZIP of photos named by student number into a course. Prints the progress, a "
        "verdict for each photo that was not used, and who of the course can be recognised. A "
        "server that runs takes over what is left when this is ended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path, metavar="ZIP")
        parser.add_argument("--course", required=True, help="the code of the course")
        parser.add_argument("--csv", type=Path, help="a list with the columns file and student_id")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="also make new templates of students who can be recognised already",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        photo_import = self._received(options)
        try:
            self._follow(photo_import)
        except (EngineError, WorkerLostError) as error:
            raise CommandError(f"The photos wait: {error}") from error
        for item in photo_import.items.filter(state=PhotoImportItem.State.REFUSED):
            self.stdout.write(f"✗ {item.file_name}: {item.verdict}")
        rows = coverage_of(photo_import)
        for group in by_standing(rows):
            self.stdout.write(f"{group.sign} {group.words}: {len(group.rows)} of {len(rows)}")

    def _received(self, options: dict[str, Any]) -> PhotoImport:
        try:
            course = Course.objects.get(code=options["course"])
        except Course.DoesNotExist:
            raise CommandError(f"No course has the code {options['course']!r}.") from None
        try:
            with options["archive"].open("rb") as archive:
                return receive_photos(
                    course=course,
                    archive=archive,
                    archive_name=options["archive"].name,
                    list_of_students=options["csv"].read_bytes() if options["csv"] else None,
                    replaces_known=options["replace"],
                )
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        except ArchiveRefusedError as refusal:
            raise CommandError(str(refusal)) from refusal

    def _follow(self, photo_import: PhotoImport) -> None:
        """Work on it, or wait while a server does."""
        while photo_import.is_unfinished:
            for _student in students_done(photo_import.pk):
                self._tell(photo_import)
            photo_import.refresh_from_db()
            if photo_import.is_unfinished:
                self._tell(photo_import)
                time.sleep(1)

    def _tell(self, photo_import: PhotoImport) -> None:
        found = photo_import.items.order_by().values_list("state").annotate(count=Count("pk"))
        counts = dict(found)
        total = sum(counts.values())
        done = total - counts.get(PhotoImportItem.State.WAITING, 0)
        self.stdout.write(in_words(photo_import, done=done, total=total))
