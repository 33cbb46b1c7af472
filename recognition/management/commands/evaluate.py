from __future__ import annotations

import argparse
import itertools
import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.engine.evaluation import Embeddings, Trials, open_set_trials
from recognition.engine.types import EngineError, FrameAnalysis
from recognition.workers import active_model_id, require_models, worker_pool

PICTURES = ("*.jpg", "*.jpeg", "*.png", "*.webp")
FPIRS = (0.01, 0.001)
IN_FLIGHT_PER_WORKER = 4


class Command(BaseCommand):
    help = """\
Measure open-set identification on a folder of faces: DIR/<person>/<picture>.

Protocol: people with more than --enrol pictures can be in the gallery. For each of --draws random
galleries of --gallery people, --enrol random pictures of each are fused into a template, their
other pictures are mated probes (one picture is one probe), and every picture of everybody outside
the gallery is a non-mated probe. Printed, pooled over the draws:

  rank-1   mated probes that are nearest to their own template
  FNIR     mated probes that are not found, or found as somebody else, at the threshold where
           1 % and 0.1 % of the strangers are taken for somebody (FPIR)

Pictures in which no single face was found are counted and left out. The galleries are drawn from
--seed, so the same folder gives the same figures."""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            *args, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--faces", type=Path, required=True, metavar="DIR")
        parser.add_argument(
            "--gallery", type=int, nargs="+", default=[30], metavar="N", help="people (default 30)"
        )
        parser.add_argument("--enrol", type=int, default=3, metavar="N", help="default 3")
        parser.add_argument("--draws", type=int, default=50, metavar="N", help="default 50")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default 1")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("enrol", "draws"):
            if options[name] < 1:
                raise CommandError(f"--{name} is {options[name]}, expected at least 1")
        if min(options["gallery"]) < 1:
            raise CommandError(f"--gallery is {min(options['gallery'])}, expected at least 1")
        people, left_out = self._embedded(pictures_by_person(options["faces"]))
        self.stdout.write(
            f"model {active_model_id()}: {sum(map(len, people.values()))} pictures of "
            f"{len(people)} people, {left_out} left out without a single face"
        )
        results = []
        for size in options["gallery"]:
            try:
                trials = open_set_trials(
                    people,
                    gallery_size=size,
                    enrol=options["enrol"],
                    draws=options["draws"],
                    seed=options["seed"],
                )
            except ValueError as error:
                raise CommandError(str(error)) from error
            results.append(figures(trials))
            self._print(results[-1])
        if options["json"]:
            options["json"].write_text(json.dumps(results, indent=2) + "\n")

    def _embedded(self, pictures: dict[str, list[Path]]) -> tuple[dict[str, Embeddings], int]:
        """The embeddings of each person, and how many pictures gave none."""
        try:
            require_models()
        except EngineError as error:
            raise CommandError(str(error)) from error
        started_s, done, left_out = time.monotonic(), 0, 0
        total = sum(map(len, pictures.values()))
        embeddings: dict[str, list[Any]] = {}
        todo = iter([(name, path) for name, paths in pictures.items() for path in paths])
        in_flight: list[tuple[str, Future[FrameAnalysis]]] = []
        limit = IN_FLIGHT_PER_WORKER * settings.RECOGNITION_WORKERS
        while True:
            for name, path in itertools.islice(todo, limit - len(in_flight)):
                in_flight.append((name, worker_pool().analyse_photo(path.read_bytes())))
            if not in_flight:
                break
            name, future = in_flight.pop(0)
            face = _face_of(future)
            if face is None:
                left_out += 1
            else:
                embeddings.setdefault(name, []).append(face)
            done += 1
            if done % 100 == 0:
                spent_s = time.monotonic() - started_s
                self.stderr.write(f"{done} of {total} pictures, {done / spent_s:.0f} a second")
        return {name: np.stack(rows) for name, rows in embeddings.items()}, left_out

    def _print(self, result: dict[str, Any]) -> None:
        self.stdout.write(
            f"\ngallery of {result['gallery_size']}: {result['mated']} mated and "
            f"{result['non_mated']} non-mated probes"
        )
        self.stdout.write(f"  rank-1 {result['rank_1']:.2%}")
        for at in result["operating_points"]:
            self.stdout.write(
                f"  FNIR {at['fnir']:.2%} at FPIR {at['fpir']:.1%}"
                f" (threshold {at['threshold']:.4f})"
            )


def pictures_by_person(folder: Path) -> dict[str, list[Path]]:
    """The pictures in each sub-folder, sorted, so that a seed draws the same again."""
    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder: expected DIR/<person>/<picture>")
    people = {
        person.name: sorted(itertools.chain(*[person.glob(pattern) for pattern in PICTURES]))
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    people = {name: paths for name, paths in people.items() if paths}
    if not people:
        raise CommandError(f"{folder} holds no pictures: expected DIR/<person>/<picture>")
    return people


def figures(trials: Trials) -> dict[str, Any]:
    return {
        "gallery_size": trials.gallery_size,
        "mated": len(trials.mated),
        "non_mated": len(trials.non_mated),
        "rank_1": trials.rank_1,
        "operating_points": [
            {
                "fpir": fpir,
                "threshold": trials.threshold_at(fpir),
                "fnir": trials.fnir_at(trials.threshold_at(fpir)),
            }
            for fpir in FPIRS
        ],
    }


def _face_of(future: Future[FrameAnalysis]) -> Any:
    try:
        face = future.result().main_face
    except EngineError:
        return None
    return face.embedding if face is not None else None
