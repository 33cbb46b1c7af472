from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.models.catalogue import CATALOGUE, KnownModel, WeightFile
from recognition.engine.models.downloads import fetch
from recognition.engine.models.weights import (
    checked_file,
    compare,
    keep_checksum,
    kept_checksum,
    needed_files,
    sha256_of,
    weights_folder,
)
from recognition.engine.types import EngineError
from recognition.workers import model_choice

REPORT_EVERY_S = 2.0


class Command(BaseCommand):
    help = """\
Fetch the files of models ahead of their first use, into DATA_DIR/models/.deepface/weights, or
below DEEPFACE_HOME where that is set. Without a name: of the models that the settings choose.

What is there is only compared with its checksum; what is damaged is fetched again; what was
interrupted goes on where it stopped. Beside each file its checksum is kept, which every start
compares. A machine without internet: --list says what to bring and where to put it, after which
this command keeps the checksums."""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="see `manage.py models`")
        parser.add_argument("--all", action="store_true", help="every model that there is")
        parser.add_argument("--list", action="store_true", help="only say what to bring, and where")
        parser.add_argument(
            "--from",
            dest="mirror",
            default="",
            metavar="URL",
            help="an address of your own that holds the files under their names",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folder = weights_folder(settings.MODEL_CACHE_DIR)
        models = _chosen(options["names"], everything=options["all"])
        if options["list"]:
            self._list(models, folder)
            return
        failed = [
            (model, file, reason)
            for model in models
            for file in needed_files(model, folder)
            if (reason := self._brought(model, file, folder, mirror=options["mirror"]))
        ]
        if failed:
            raise CommandError(_by_hand(failed, folder))
        self.stdout.write(f"All files are in {folder}.")

    def _brought(
        self, model: KnownModel, file: WeightFile, folder: Path, *, mirror: str
    ) -> str | None:
        """Why the file is not there in the end; None where it is."""
        try:
            self._keep(model, file, checked_file(model, file, folder))
        except EngineError as error:
            if error.code == "broken_weights":
                self.stdout.write(f"{error}\nIt is fetched again.")
        else:
            return None
        try:
            path = fetch(file, folder, progress=_Told(self.stdout, file.name), mirror=mirror)
        except EngineError as error:
            return str(error)
        self.stdout.write(f"{file.name}: {_megabytes(path.stat().st_size)}, SHA-256 kept.")
        return None

    def _keep(self, model: KnownModel, file: WeightFile, path: Path) -> None:
        """Of a file that was brought by hand, the checksum is kept from now on.

        Raises `EngineError` where it is not the published one.
        """
        if kept_checksum(path):
            self.stdout.write(f"{file.name} is there and whole.")
            return
        compare(model, path, expected=file.sha256)
        keep_checksum(path, sha256_of(path))
        self.stdout.write(f"{file.name} is there; its SHA-256 is kept from now on.")

    def _list(self, models: Sequence[KnownModel], folder: Path) -> None:
        for model in models:
            for file in needed_files(model, folder):
                there = "there" if (folder / file.name).is_file() else "missing"
                self.stdout.write(f"{model.name} ({model.part}), {there}:")
                self.stdout.write(f"  {folder / file.name}")
                for address in file.addresses:
                    self.stdout.write(f"  from {address}")
                if file.sha256:
                    self.stdout.write(f"  SHA-256 {file.sha256}")


class _Told:
    """Progress in lines, every two seconds, which a log can hold too."""

    def __init__(self, stdout: Any, name: str) -> None:
        self._stdout = stdout
        self._name = name
        self._told_at_s = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if now_s - self._told_at_s < REPORT_EVERY_S:
            return
        self._told_at_s = now_s
        share = f" of {_megabytes(total)} ({done / total:.0%})" if total else ""
        self._stdout.write(f"{self._name}: {_megabytes(done)}{share}")


def _chosen(names: Sequence[str], *, everything: bool) -> list[KnownModel]:
    if everything:
        return list(CATALOGUE)
    if not names:
        try:
            return list(model_choice().parts())
        except EngineError as error:
            raise CommandError(str(error)) from error
    unknown = set(names) - {model.name for model in CATALOGUE}
    if unknown:
        known = ", ".join(dict.fromkeys(model.name for model in CATALOGUE))
        raise CommandError(f"Unknown: {', '.join(sorted(unknown))}. Known models are: {known}.")
    return [model for model in CATALOGUE if model.name in names]


def _by_hand(failed: Iterable[tuple[KnownModel, WeightFile, str]], folder: Path) -> str:
    return "\n".join(_lines_by_hand(failed, folder))


def _lines_by_hand(
    failed: Iterable[tuple[KnownModel, WeightFile, str]], folder: Path
) -> Iterator[str]:
    yield "Not everything could be fetched. Run this again to go on, or download these files on"
    yield "another machine, bring them to these places, and run this again to keep their checksums:"
    for model, file, reason in failed:
        yield f"\n{model.name} ({model.part}): {reason}"
        for address in file.addresses:
            yield f"  from {address}"
        packed = " (unpacked: bunzip2)" if file.addresses[0].endswith(".bz2") else ""
        yield f"  to   {folder / file.name}{packed}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
