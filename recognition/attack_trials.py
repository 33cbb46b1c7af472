"""Simulated attacks and living people before the real engine and dialogue, on all cores.

For `manage.py evaluate --attacks`. Knows neither Django nor its settings: the caller brings both.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from recognition.attack_report import Outcome, Report
from recognition.engine.attacks.people import Candidate, Unsuitable
from recognition.engine.attacks.species import Species
from recognition.engine.attacks.trials import Trial
from recognition.engine.liveness.actions import Level
from recognition.engine.models import ModelChoice

FEWEST_PEOPLE = 4
#: Who belongs to which half does not depend on what is drawn for a run: limits that were chosen on
#: one half have not seen the other, whatever the seed.
_SPLIT_SEED = 1
_PICTURES_TRIED = 2  # of one person, until one is suitable
_IN_FLIGHT_PER_WORKER = 3
_SAY_EVERY_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """What is to be measured.

    ``clips`` of each species and ``live_clips``. Of the people of a folder one half is there to
    choose thresholds on (``tuning``), the other is reported; they share nobody, and are the same
    for each seed.
    """

    species: tuple[Species, ...] = tuple(Species)
    clips: int = 150
    live_clips: int = 200
    levels: tuple[Level, ...] = (Level.CHALLENGE, Level.BLINK)
    seed: int = 1
    tuning: bool = False

    def half_of(self, names: Sequence[str]) -> list[str]:
        """The people of this plan's half, in an order of their own."""
        shuffled = np.random.default_rng(_SPLIT_SEED).permutation(sorted(names)).tolist()
        return shuffled[0 if self.tuning else 1 :: 2]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """What the workers load. ``fasnet_folder``: where FasNet's two files are, None without it."""

    models: ModelChoice
    model_cache_dir: Path
    workers: int
    fasnet_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class NamedTrial:
    """A trial and whose pictures are in it; ``attacker`` is empty for a living person."""

    trial: Trial
    person: str
    attacker: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """Who can be made into clips, and how many pictures could not, by the reason."""

    candidates: Mapping[str, Candidate]
    unsuitable: Mapping[Unsuitable, int] = field(default_factory=dict)


def measure_attacks(
    pictures: Mapping[str, Sequence[Path]],
    plan: AttackPlan,
    engine: EngineChoice,
    *,
    say: Say,
    kept: KeptOutcomes | None = None,
) -> Report:
    """Play every clip of the plan; ``pictures`` are those of each person.

    What is ``kept`` already is not played again, and what is played is kept.

    Raises:
        ValueError: too few people have a picture that can be made into clips.
        EngineError: the models cannot be loaded; the text says what to do.
    """
    names = plan.half_of(list(pictures))
    with _workers(engine) as pool:
        pool.submit(_ready).result()
        people = _people(pool, {name: pictures[name] for name in names}, engine, say=say)
        if len(people.candidates) < FEWEST_PEOPLE:
            told = ", ".join(f"{count} {why}" for why, count in people.unsuitable.items())
            raise ValueError(
                f"got {len(people.candidates)} people with a suitable picture among {len(names)} "
                f"({told or 'no pictures'}), expected at least {FEWEST_PEOPLE} in each half: one "
                "person in the picture, frontal, open eyes that are seen to close"
            )
        trials = trials_of(people.candidates, plan)
        outcomes = kept.of(trials) if kept else []
        played = {outcome.seed for outcome in outcomes}
        left = [named for named in trials if named.trial.seed not in played]
        for outcome in _played(pool, left, plan.levels, engine, say=say):
            outcomes.append(outcome)
            if kept:
                kept.add(outcome)
    return Report(outcomes, _setting(plan, engine, len(people.candidates)), people.unsuitable)


class KeptOutcomes:
    """A file of outcomes, a line each, so that a run of an hour can go on where it was ended.

    ``measured`` names everything that an outcome depends on. Raises ``ValueError`` where the file
    holds outcomes of something else.
    """

    def __init__(self, path: Path, measured: Mapping[str, Any]) -> None:
        self._path = path
        self._outcomes: list[Outcome] = []
        head = json.dumps(measured, sort_keys=True)
        if not path.exists():
            path.write_text(head + "\n")
            return
        first, *lines = path.read_text().splitlines() or [""]
        if first != head:
            raise ValueError(
                f"{path} holds outcomes of other clips or limits than these: give another file"
            )
        self._outcomes = [Outcome.from_figures(json.loads(line)) for line in lines]

    def of(self, trials: Sequence[NamedTrial]) -> list[Outcome]:
        """The kept ones of these trials."""
        seeds = {named.trial.seed for named in trials}
        return [outcome for outcome in self._outcomes if outcome.seed in seeds]

    def add(self, outcome: Outcome) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(outcome.figures()) + "\n")


def trials_of(candidates: Mapping[str, Candidate], plan: AttackPlan) -> list[NamedTrial]:
    """The plan's clips in random order, so that what is done says early what the rest will be."""
    rng = np.random.default_rng(plan.seed)
    names = list(candidates)
    kinds: list[Species | None] = [None] * plan.live_clips
    kinds += [one for one in plan.species for _ in range(plan.clips)]
    trials = []
    for number, kind in enumerate(kinds):
        person, attacker = rng.choice(names, 2, replace=False).tolist()
        victim = candidates[person]
        other = candidates[attacker] if kind else None
        trials.append(
            NamedTrial(
                Trial(
                    species=kind,
                    seed=plan.seed * 1_000_000 + number,
                    person=victim.portrait,
                    embedding=victim.embedding,
                    attacker=other.portrait if other else None,
                    attacker_embedding=other.embedding if other else None,
                ),
                person,
                attacker if kind else "",
            )
        )
    return [trials[place] for place in rng.permutation(len(trials))]


def _setting(plan: AttackPlan, engine: EngineChoice, people: int) -> dict[str, Any]:
    return {
        "model": engine.models.embedder,
        "people": people,
        "half": "on which thresholds may be chosen" if plan.tuning else "kept for the report",
        "seed": plan.seed,
        "clips of each species": plan.clips,
        "clips of living people": plan.live_clips,
        "frames per second": "5 to 30 of the camera, by clip; the kiosk takes up to 12",
    }


def _people(
    pool: ProcessPoolExecutor,
    pictures: Mapping[str, Sequence[Path]],
    engine: EngineChoice,
    *,
    say: Say,
) -> People:
    candidates: dict[str, Candidate] = {}
    unsuitable: Counter[Unsuitable] = Counter()
    tasks = ((_candidate, name, paths[:_PICTURES_TRIED]) for name, paths in pictures.items())
    progress = _Progress(len(pictures), "people", say)
    for name, found, left_out in _results(pool, tasks, engine):
        unsuitable.update(left_out)
        if found is not None:
            candidates[name] = found
        progress.one_more()
    # The order in which workers finish is none that a seed gives again.
    return People({name: candidates[name] for name in sorted(candidates)}, unsuitable)


def _played(
    pool: ProcessPoolExecutor,
    trials: Sequence[NamedTrial],
    levels: Sequence[Level],
    engine: EngineChoice,
    *,
    say: Say,
) -> Iterator[Outcome]:
    progress = _Progress(len(trials), "clips", say)
    tasks = ((_outcome, one, levels) for one in trials)
    for outcome in _results(pool, tasks, engine):
        yield outcome
        progress.one_more()


class _Progress:
    def __init__(self, total: int, of_what: str, say: Say) -> None:
        self._total, self._of_what, self._say = total, of_what, say
        self._done, self._started_s = 0, time.monotonic()
        self._said_s = self._started_s

    def one_more(self) -> None:
        self._done += 1
        now_s = time.monotonic()
        if now_s - self._said_s < _SAY_EVERY_S and self._done < self._total:
            return
        self._said_s = now_s
        left_s = (now_s - self._started_s) / self._done * (self._total - self._done)
        self._say(f"{self._done} of {self._total} {self._of_what}, {left_s / 60:.0f} min left")


# The workers


def _workers(engine: EngineChoice) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        engine.workers, get_context("spawn"), initializer=_load, initargs=(engine,)
    )


def _results(
    pool: ProcessPoolExecutor, tasks: Iterator[tuple[Any, ...]], engine: EngineChoice
) -> Iterator[Any]:
    """As they come; only a few tasks wait in the pool at a time, since each carries pictures."""
    waiting: set[Future[Any]] = set()
    while True:
        room = _IN_FLIGHT_PER_WORKER * engine.workers - len(waiting)
        waiting |= {pool.submit(*task) for task in islice(tasks, room)}
        if not waiting:
            return
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


_analyser: Any = None
_spoof_model: Any = None
_failure: Exception | None = None


def _load(engine: EngineChoice) -> None:
    """Load the models, or keep the reason why not: a pool whose workers fail here tells nothing."""
    global _analyser, _spoof_model, _failure
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        from recognition.engine.analysis import Analyser
        from recognition.engine.anti_spoofing import FasNet
        from recognition.engine.models import load_models

        _analyser = Analyser(load_models(engine.models, model_cache_dir=engine.model_cache_dir))
        if engine.fasnet_folder is not None:
            _spoof_model = FasNet(engine.fasnet_folder)
    except Exception as error:
        _failure = error


def _ready() -> None:
    """Raises what went wrong when the models were loaded."""
    if _failure is not None:
        raise _failure


def _candidate(
    name: str, paths: Sequence[Path]
) -> tuple[str, Candidate | None, Sequence[Unsuitable]]:
    from recognition.engine.attacks.people import candidate
    from recognition.engine.images import decode_photo
    from recognition.engine.types import EngineError

    left_out: list[Unsuitable] = []
    for path in paths:
        try:
            found = candidate(decode_photo(path.read_bytes()), _analyser)
        except EngineError:
            found = Unsuitable.NO_SINGLE_FACE
        if isinstance(found, Candidate):
            return name, found, left_out
        left_out.append(found)
    return name, None, left_out


def _outcome(named: NamedTrial, levels: Sequence[Level]) -> Outcome:
    from recognition.engine.attacks.camera import frame_rate
    from recognition.engine.attacks.trials import play, play_for_baselines

    trial = named.trial
    return Outcome(
        species=trial.species,
        person=named.person,
        attacker=named.attacker,
        seed=trial.seed,
        fps=frame_rate(trial.seed),
        verdicts={level: play(trial, _analyser, level) for level in levels},
        baselines=play_for_baselines(trial, _analyser, _spoof_model),
    )
