from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.types import EngineError
from recognition.evaluation import attacks, pairs
from recognition.evaluation.faces import pictures_by_person
from recognition.evaluation.groups import groups_in
from recognition.evaluation.modes import IDENTIFICATION, MODES
from recognition.evaluation.options import Figures, Mode, Options
from recognition.evaluation.own import measure_own
from recognition.evaluation.proposals import ThresholdsRefusedError, apply_measured
from recognition.evaluation.report import report_html
from recognition.workers import active_model_id, require_models


class Command(BaseCommand):
    help = """\
Measure open-set identification on a folder of faces, DIR/<person>/<picture>, or with --own on the
institution's own templates. Other questions of the same folder: --compare, --verification,
--doubles, --class-photos, --mistakes, --pairs.

Identification: the people are divided into two halves that share nobody. In each, for --draws
random galleries of --gallery people, --enrol random pictures of each are fused into a template,
their other pictures are mated probes (one picture is one probe), and every picture of everybody
outside the gallery is a non-mated probe. Who has no picture left only fills galleries up. The other
half is the cohort, where it is large enough. Printed, pooled over the draws:

  rank-1     mated probes that are nearest to their own template
  threshold  chosen on everybody, where 1, 0.3 and 0.1 % of the strangers are taken for somebody
             (FPIR), with the middle 95 % of what comes out among people who are drawn again
  FNIR       mated probes that are not found, or found as somebody else, of each half at the
             threshold that was chosen on the other, and the FPIR that comes of it

With --groups FILE (CSV: person, group) also by group, at the threshold of FPIR 0.1 % for all.

With --compare: the same, for one part of the search after the other, beginning with the usual way
(Euclidean distance of one crop, as in the face_recognition library). Where five frames are fused,
only who has eight pictures is a mated probe, and half of these people stay outside as strangers.

With --pairs FILE, in LFW's format: verification accuracy of each fold at the threshold that is best
in the others, mean and standard error.

With --verification, which has no gallery: in each of --draws, --enrol random pictures of everybody
who has more are fused into a template, which is compared with the owner's other pictures (mated)
and with every picture of everybody else. Printed, with the middle 95 % of what comes out among
people who are drawn again with replacement:

  FNMR     owners who are refused, at the threshold where 1 %, 0.1 % and 0.01 % of the others
           match (FMR), and at the threshold in force

With --doubles: each of --gallery people has an account, a template of --enrol random pictures;
those with fewer pictures only fill up. Whoever has enough pictures gets a second account from
others. Printed, pooled over the draws, at the thresholds in force and where 1 % is falsely flagged:

  found            second accounts that are flagged beside the first
  falsely flagged  accounts without a double that are flagged beside somebody else's

With --class-photos: half of the people choose the threshold, the other half is reported. For each
half --draws class photos are made: a class of --gallery people enrolled from --enrol pictures each,
60 % of whom are in the photo with another picture among six strangers, faces 40 to 120 px high.
Printed, for the global optimum and for each face alone, at the threshold in force:

  precision    of those marked present, how many are
  recall       of those present, how many are marked
  wrong names  faces that carry the name of somebody else

With --mistakes: every picture of somebody else that a template of --enrol random pictures matches,
at the threshold of a class of --gallery, is said not to be its person's. Printed, pooled over the
draws, of the other pictures that the template matches, how many are no longer taken for its person:

  mistaken  of the person who was taken for the owner
  owner     of the owner
  denier    of the owner, after the owner denied a picture that was the owner's

With --attacks: clips are made from pictures of half of the people, and each is played to the engine
and the check-in's dialogue, which it answers to. --clips of each species of attack and --live-clips
of people who do what is asked, from cameras of 5 to 30 frames a second. A run takes an hour and
more; with --keep it goes on where it was ended. Printed, with intervals for 95 %, for
each of --levels and beside them for two other ways, one blink by a fixed threshold and FasNet:

  APCER  attacks that are taken for a living person
  BPCER  living people who are refused

These are simulated attacks and no ISO/IEC 30107-3 certificate.

Pictures in which no single face was found are counted and left out. Everything is drawn from
--seed, so the same folder gives the same figures."""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--faces", type=Path, metavar="DIR", help="DIR/<person>/<picture>")
        source.add_argument("--own", action="store_true", help="the institution's own templates")
        parser.add_argument(
            "--gallery", type=int, nargs="+", default=[30], metavar="N", help="people (default 30)"
        )
        kind = parser.add_mutually_exclusive_group()
        for mode in MODES:
            kind.add_argument(f"--{mode.name}", action="store_true", help=mode.help)
        kind.add_argument(
            "--attacks", action="store_true", help="play simulated attacks and living people"
        )
        kind.add_argument("--pairs", type=Path, metavar="FILE", help="accuracy on LFW's pairs.txt")
        parser.add_argument("--groups", type=Path, metavar="FILE", help="CSV: person, group")
        parser.add_argument("--enrol", type=int, default=3, metavar="N", help="default 3")
        parser.add_argument("--draws", type=int, default=50, metavar="N", help="default 50")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default 1")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
        parser.add_argument("--html", type=Path, metavar="FILE", help="also write a report")
        attacks.add_arguments(parser)
        parser.add_argument(
            "--apply",
            metavar="REASON",
            help="put the thresholds of identification in force for the active model",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("enrol", "draws"):
            if options[name] < 1:
                raise CommandError(f"--{name} is {options[name]}, expected at least 1")
        if min(options["gallery"]) < 1:
            raise CommandError(f"--gallery is {min(options['gallery'])}, expected at least 1")
        try:
            if options["attacks"]:
                self._play_attacks(options)
                return
            results = self._measured(options)
        except (ValueError, EngineError, ThresholdsRefusedError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            options["json"].write_text(json.dumps(results, indent=2) + "\n")
        if options["html"]:
            lines = pairs.lines if options["pairs"] else _mode(options).lines
            options["html"].write_text(report_html(results, lines, source=_source(options)))

    def _play_attacks(self, options: dict[str, Any]) -> None:
        _refuse_beside(options, "own", "groups", "apply")
        report = attacks.measure(
            pictures_by_person(options["faces"]), options, say=self.stderr.write
        )
        self.stdout.write(report.text())
        if options["json"]:
            options["json"].write_text(json.dumps(report.figures(), indent=2) + "\n")
        if options["html"]:
            options["html"].write_text(report.page())

    def _measured(self, options: dict[str, Any]) -> list[Figures]:
        mode = _mode(options)
        if mode is not IDENTIFICATION or options["pairs"]:
            _refuse_beside(options, "own", "groups", "apply")
        if options["own"]:
            _refuse_beside(options, "groups")
            results = measure_own(model_id=active_model_id(), say=self.stderr.write)
        elif options["pairs"]:
            wanted = pairs.pairs_in(options["pairs"], options["faces"])
            require_models()
            return self._printed([pairs.measure(wanted, self.stderr.write)], pairs.lines)
        else:
            pictures = pictures_by_person(options["faces"])
            groups = groups_in(options["groups"], pictures) if options["groups"] else None
            sizes = sorted(set(options["gallery"]))
            chosen = Options(sizes, options["enrol"], options["draws"], options["seed"], groups)
            require_models()
            results = mode.measure(pictures, chosen, self.stderr.write)
        self._printed(results, mode.lines)
        if options["apply"]:
            setting = apply_measured(
                results, model_id=active_model_id(), reason=options["apply"], by=None
            )
            self.stdout.write(f"in force from now on: {setting.similarity_at_size}")
        return results

    def _printed(
        self, results: list[Figures], lines: Callable[[Figures], Iterable[str]]
    ) -> list[Figures]:
        for result in results:
            for line in lines(result):
                self.stdout.write(line)
        return results


def _mode(options: dict[str, Any]) -> Mode:
    asked = (mode for mode in MODES if options[mode.name.replace("-", "_")])
    return next(asked, IDENTIFICATION)


def _refuse_beside(options: dict[str, Any], *names: str) -> None:
    given = next((name for name in names if options[name]), None)
    if given is not None:
        raise CommandError(f"--{given} goes with identification on a folder of faces only")


def _source(options: dict[str, Any]) -> str:
    return "own templates" if options["own"] else options["faces"].name
