from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.clustering import cluster_trials
from recognition.engine.open_set import People, open_set_trials
from recognition.engine.thresholds import AlertThresholds
from recognition.engine.types import EngineError
from recognition.evaluation.faces import faces_in, pictures_by_person
from recognition.selectors import thresholds_in_force
from recognition.workers import active_model_id, require_models

SIMILARITIES = (0.92, 0.925, 0.93, 0.935, 0.94, 0.945, 0.95)
NEAR_MISSES = (0.005, 0.01, 0.015, 0.02, 0.03)


class Command(BaseCommand):
    help = """\
Measure the thresholds of alerts on a folder of faces: DIR/<person>/<picture>.

In each of --draws sessions, --strangers random people come --visits times each, in random order,
with one picture a visit. Printed for several similarities:

  further alerts  later visits that are taken for a person who was not there yet
  missed          people who are taken for somebody else at each visit, so raise no alert

In each of 50 random galleries of --gallery people, enrolled from three pictures each, every
other picture is a probe. Printed for several distances below the threshold in force:

  of the class    of the refused probes of the gallery's own people, how many lie within it
  strangers       of the probes of everybody else, how many lie within it"""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--faces", type=Path, required=True, metavar="DIR")
        parser.add_argument("--strangers", type=int, default=10, metavar="N", help="default 10")
        parser.add_argument("--visits", type=int, default=4, metavar="N", help="default 4")
        parser.add_argument("--gallery", type=int, default=30, metavar="N", help="default 30")
        parser.add_argument("--draws", type=int, default=300, metavar="N", help="default 300")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default 1")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            require_models()
            people = faces_in(pictures_by_person(options["faces"]), self.stderr.write).embeddings()
            self._clusters(people, options)
            self._near_misses(people, options)
        except (ValueError, EngineError) as error:
            raise CommandError(str(error)) from error

    def _clusters(self, people: People, options: dict[str, Any]) -> None:
        self.stdout.write(
            f"{options['strangers']} strangers with {options['visits']} visits each; in force is "
            f"{AlertThresholds().same_face_similarity}"
        )
        for similarity in SIMILARITIES:
            trials = cluster_trials(
                people,
                strangers=options["strangers"],
                visits=options["visits"],
                similarity=similarity,
                draws=options["draws"],
                seed=options["seed"],
            )
            self.stdout.write(
                f"  {similarity:.3f}: further alerts {trials.split:.2%}, missed {trials.missed:.2%}"
            )

    def _near_misses(self, people: People, options: dict[str, Any]) -> None:
        limits = thresholds_in_force(model_id=active_model_id())
        threshold = limits.similarity_for(options["gallery"])
        trials = open_set_trials(
            people, gallery_size=options["gallery"], enrol=3, draws=50, seed=options["seed"]
        )
        nearest = np.maximum(trials.mated, trials.rivals)
        refused = nearest[nearest < threshold]
        strangers = trials.non_mated[trials.non_mated < threshold]
        self.stdout.write(
            f"gallery of {options['gallery']}, threshold {threshold}, {len(refused)} of "
            f"{len(nearest)} refused; in force is {AlertThresholds().near_miss}"
        )
        for near_miss in NEAR_MISSES:
            least = threshold - near_miss
            self.stdout.write(
                f"  {near_miss:.3f}: of the class {np.mean(refused >= least):.1%}, "
                f"strangers {np.mean(strangers >= least):.1%}"
            )
