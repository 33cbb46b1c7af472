from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.open_set import People
from recognition.engine.template_update_trials import intrusion_trials, update_trials
from recognition.engine.thresholds import TEMPLATE_UPDATES
from recognition.engine.types import EngineError
from recognition.evaluation.faces import faces_in, pictures_by_person
from recognition.selectors import thresholds_in_force
from recognition.workers import active_model_id, require_models

SIMILARITIES = (0.955, 0.96, 0.962, 0.965, 0.97)
FPIR = 0.001


class Command(BaseCommand):
    help = """\
Measure what slow template updates gain and what they risk, on a folder of faces:
DIR/<person>/<picture>.

In each of --draws random galleries of --gallery people, enrolled from three pictures each, up to
--check-ins other pictures of everybody come to the door, and those that are left are searched, in
the gallery as it was enrolled and as it is then. Printed for several similarities that a template
learns from:

  learned   check-ins that a template learned from
  FNIR      at the threshold where 0.1 % of the strangers match, before and after
  others    of the pictures of everybody else, how many match, and how many would be learned
  forced    where one matched and was learned all the same, again and again: the share of the
            owner's pictures that match before and after, the same of the other's that were not
            learned, and how like the template stays to the enrolment"""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--faces", type=Path, required=True, metavar="DIR")
        parser.add_argument("--gallery", type=int, default=30, metavar="N", help="default 30")
        parser.add_argument("--check-ins", type=int, default=4, metavar="N", help="default 4")
        parser.add_argument("--draws", type=int, default=60, metavar="N", help="default 60")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default 1")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"in force is {TEMPLATE_UPDATES.similarity}")
        try:
            require_models()
            people = faces_in(pictures_by_person(options["faces"]), self.stderr.write).embeddings()
            for similarity in SIMILARITIES:
                self._measure(people, similarity, options)
        except (ValueError, EngineError) as error:
            raise CommandError(str(error)) from error

    def _measure(self, people: People, similarity: float, options: dict[str, Any]) -> None:
        limits = replace(TEMPLATE_UPDATES, similarity=similarity)
        in_force = thresholds_in_force(model_id=active_model_id())
        threshold = in_force.similarity_for(options["gallery"])
        margin = in_force.margin
        gained = update_trials(
            people,
            gallery_size=options["gallery"],
            enrol=3,
            check_ins=options["check_ins"],
            draws=options["draws"],
            seed=options["seed"],
            limits=limits,
        )
        risked = intrusion_trials(
            people,
            threshold=threshold,
            enrol=3,
            draws=max(1, options["draws"] // 3),
            seed=options["seed"],
            limits=limits,
        )
        self.stdout.write(
            f"{similarity}: learned {gained.learned:.2f}, "
            f"FNIR {gained.before.fnir_at(FPIR, margin):.2%} to "
            f"{gained.after.fnir_at(FPIR, margin):.2%}; of {risked.comparisons} others "
            f"{risked.matched} match, {risked.learned} would be learned; forced: owners "
            f"{risked.owners[0]:.1%} to {risked.owners[1]:.1%}, others {risked.others[0]:.1%} to "
            f"{risked.others[1]:.1%}, at least {risked.least_to_enrolment:.3f} alike"
        )
