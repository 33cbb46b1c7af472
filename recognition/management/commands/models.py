from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from recognition.engine.models import ModelChoice
from recognition.engine.models.catalogue import CATALOGUE, KnownModel, Part, known_model
from recognition.engine.models.loading import load_detector, load_embedder, load_landmarker
from recognition.engine.models.measuring import (
    Figures,
    LabelledFace,
    keep_figures,
    kept_figures,
    measure_detector,
    measure_embedder,
    measure_landmarker,
)
from recognition.engine.models.weights import checked_files, missing_files, weights_folder
from recognition.engine.types import EngineError, Image
from recognition.selectors import thresholds_in_force
from recognition.switching import courses_after_switch, templates_by_model, who_must_enrol_again
from recognition.workers import active_model_id, model_choice

Picture = tuple[str, Image]

PICTURES = ("*.jpg", "*.jpeg", "*.png", "*.webp")


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    width: int


COLUMNS = (
    Column("model", 17),
    Column("in use", 10),
    Column("installed", 12),
    Column("commercial", 12),
    Column("templates", 11),
    Column("one call", 11),
    Column("on faces", 22),
    Column("licence", 0),
)


class Command(BaseCommand):
    help = """\
What there is for each part of recognition: what is in use and installed, what the licence allows,
how many templates in force are whose, and what was measured on this machine.

With --measure, everything that is installed is measured, and the figures are kept in
DATA_DIR/models/measured.json: the median of one call on one thread, and with --faces DIR, which
holds DIR/<person>/<picture>:

  found  a detector: pictures in which it finds a face
  off    a landmarker: mean distance to dlib's landmarks, over the distance between the eyes
  FNMR   an embedder: pairs of one person that do not match where 0.1 % of two people's do

Landmarkers and embedders are measured on the pictures in which dlib finds a single face.

With --if NAME nothing is changed or measured: it says how many students would have to enrol again
if RECOGNITION_MODEL were NAME, for each course."""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--measure", action="store_true")
        parser.add_argument("--faces", type=Path, metavar="DIR")
        parser.add_argument(
            "--most", type=int, default=300, help="pictures of DIR to measure on (default 300)"
        )
        parser.add_argument("--if", dest="candidate", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["faces"] and not options["measure"]:
            raise CommandError("--faces is for --measure: give both.")
        try:
            choice = model_choice()
            choice.parts()
            if options["candidate"]:
                self._after_switch(options["candidate"])
                return
            if options["measure"]:
                self._measure(options["faces"], most=options["most"])
        except EngineError as error:
            raise CommandError(str(error)) from error
        self._table(choice)

    # ------------------------------------------------------------ what there is

    def _table(self, choice: ModelChoice) -> None:
        templates, figures = templates_by_model(), kept_figures(settings.MODEL_CACHE_DIR)
        for part in Part:
            self.stdout.write(f"\n{part}, {SETTINGS[part]}")
            self.stdout.write("  " + _line([column.title for column in COLUMNS]))
            for model in CATALOGUE:
                if model.part == part:
                    self.stdout.write("  " + _line(_cells(model, choice, templates, figures)))
        unknown = {name: n for name, n in templates.items() if name not in _embedders()}
        for name, count in unknown.items():
            self.stdout.write(f"\n{count} templates are by {name!r}, a model that there is not.")
        self._say_whether_thresholds_are_known(active_model_id())
        self.stdout.write(f"\nFiles are looked for in {weights_folder(settings.MODEL_CACHE_DIR)}.")

    def _say_whether_thresholds_are_known(self, model_id: str) -> None:
        try:
            thresholds_in_force(model_id=model_id)
        except EngineError as error:
            self.stdout.write(f"\n{error}")

    # ------------------------------------------------------------ what if

    def _after_switch(self, name: str) -> None:
        known_model(Part.EMBEDDER, name)
        again = who_must_enrol_again(model_id=name).count()
        self.stdout.write(f"With RECOGNITION_MODEL={name}, {again} students must enrol again:")
        for row in courses_after_switch(model_id=name, at=timezone.now()):
            self.stdout.write(
                f"  {row.course.code:<16} {row.must_enrol_again} must enrol again, "
                f"{row.ready} are known already"
            )
        active = active_model_id()
        if name != active and again:
            self.stdout.write(
                f"They stay recognised meanwhile with RECOGNITION_PREVIOUS_MODEL={active}; "
                "`manage.py invite_reenrolment` asks them by mail."
            )
        self._say_whether_thresholds_are_known(name)

    # ------------------------------------------------------------ measuring

    def _measure(self, folder: Path | None, *, most: int) -> None:
        pictures = _pictures_in(folder, most=most) if folder else []
        faces = _labelled(pictures)
        if folder:
            self.stdout.write(
                f"{len(pictures)} pictures of {folder}, in {len(faces)} of which dlib finds a "
                "single face:"
            )
        for model in CATALOGUE:
            if model.part == Part.ANTI_SPOOFING or _installed(model) != "yes":
                continue
            try:
                figures = _measured(model, pictures, faces)
            except EngineError as error:
                self.stdout.write(f"{model.name}: {error}")
                continue
            keep_figures(settings.MODEL_CACHE_DIR, {_key(model): figures})
            self.stdout.write(f"{model.name}: {figures.milliseconds:.1f} ms {_on_faces(figures)}")


SETTINGS = {
    Part.DETECTOR: "RECOGNITION_DETECTOR",
    Part.LANDMARKER: "RECOGNITION_LANDMARKER",
    Part.EMBEDDER: "RECOGNITION_MODEL and RECOGNITION_PREVIOUS_MODEL",
    Part.ANTI_SPOOFING: "ANTI_SPOOFING",
}


def _cells(
    model: KnownModel, choice: ModelChoice, templates: dict[str, int], figures: dict[str, Figures]
) -> list[str]:
    measured = figures.get(_key(model))
    count = templates.get(model.name, 0) if model.part == Part.EMBEDDER else 0
    return [
        model.name,
        _use(model, choice),
        _installed(model),
        str(model.commercial),
        str(count) if count else "",
        f"{measured.milliseconds:.1f} ms" if measured else "",
        _on_faces(measured) if measured else "",
        model.licence,
    ]


def _line(cells: Sequence[str]) -> str:
    return "".join(
        cell.ljust(column.width) for cell, column in zip(cells, COLUMNS, strict=True)
    ).rstrip()


def _use(model: KnownModel, choice: ModelChoice) -> str:
    if model.part == Part.EMBEDDER and model.name == choice.previous_embedder:
        return "previous"
    return "active" if model in choice.parts() else ""


def _installed(model: KnownModel) -> str:
    """Whether it can be loaded: yes, or what is wrong."""
    from importlib.util import find_spec

    folder = weights_folder(settings.MODEL_CACHE_DIR)
    if any(find_spec(package) is None for package in model.packages):
        return "no package"
    if any(missing_files(model, folder)):
        return "no"
    try:
        checked_files(model, folder)
    except EngineError:
        return "damaged"
    return "yes"


def _on_faces(figures: Figures) -> str:
    if figures.found_share is not None:
        return f"found {figures.found_share:.1%} of {figures.pictures}"
    if figures.difference is not None:
        return f"off {figures.difference:.1%} on {figures.pictures}"
    if figures.fnmr is not None:
        return f"FNMR {figures.fnmr:.1%} on {figures.pictures}"
    return ""


def _key(model: KnownModel) -> str:
    return f"{model.part} {model.name}"


def _embedders() -> set[str]:
    return {model.name for model in CATALOGUE if model.part == Part.EMBEDDER}


def _measured(
    model: KnownModel, pictures: Sequence[Picture], faces: Sequence[LabelledFace]
) -> Figures:
    """Raises `EngineError` where the model cannot be loaded."""
    cache, today = settings.MODEL_CACHE_DIR, timezone.localdate().isoformat()
    if model.part == Part.DETECTOR:
        detector = load_detector(model.name, model_cache_dir=cache)
        return measure_detector(detector, [image for _, image in pictures], measured_on=today)
    if model.part == Part.LANDMARKER:
        landmarker = load_landmarker(model.name, model_cache_dir=cache)
        return measure_landmarker(landmarker, faces, measured_on=today)
    embedder = load_embedder(model.name, model_cache_dir=cache)
    return measure_embedder(embedder, faces, measured_on=today)


def _pictures_in(folder: Path, *, most: int) -> list[Picture]:
    """Whose picture it is, and the picture; of those with the most pictures first."""
    people = [
        sorted(path for pattern in PICTURES for path in person.glob(pattern))
        for person in sorted(folder.glob("*/"))
    ]
    paths = [path for pictures in sorted(people, key=len, reverse=True) for path in pictures]
    read = [(path.parent.name, _read(path)) for path in paths[:most]]
    pictures = [(person, image) for person, image in read if image is not None]
    if not pictures:
        raise CommandError(f"{folder} holds no pictures as DIR/<person>/<picture>.")
    return pictures


def _labelled(pictures: Sequence[Picture]) -> list[LabelledFace]:
    """Those in which dlib finds a single face, with its landmarks."""
    models = ModelChoice()
    detector = load_detector(models.detector, model_cache_dir=settings.MODEL_CACHE_DIR)
    landmarker = load_landmarker(models.landmarker, model_cache_dir=settings.MODEL_CACHE_DIR)
    faces = []
    for person, image in pictures:
        found = detector.detect(image)
        sure = [one.box for one in found if one.confidence >= detector.confidence_to_find]
        if len(sure) == 1:
            landmarks = landmarker.landmarks(image, sure[0])
            faces.append(LabelledFace(person, image, sure[0], landmarks))
    return faces


def _read(path: Path) -> Image | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    return None if image is None else np.asarray(image, np.uint8)
