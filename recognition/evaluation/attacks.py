"""`manage.py evaluate --attacks`: simulated attacks before the models that the settings name."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from recognition.attack_report import Report
from recognition.attack_trials import AttackPlan, EngineChoice, KeptOutcomes, Say, measure_attacks
from recognition.engine.anti_spoofing import FasNet
from recognition.engine.attacks.species import Species
from recognition.engine.liveness.actions import Level
from recognition.engine.models.weights import weights_folder
from recognition.engine.thresholds import (
    ActionThresholds,
    BlinkThresholds,
    DialoguePolicy,
    PassiveThresholds,
)
from recognition.engine.types import EngineError
from recognition.workers import model_choice

_DEFAULTS = AttackPlan()


def add_arguments(parser: ArgumentParser) -> None:
    attacks = parser.add_argument_group("with --attacks")
    attacks.add_argument(
        "--clips",
        type=int,
        default=_DEFAULTS.clips,
        metavar="N",
        help=f"of each species (default {_DEFAULTS.clips})",
    )
    attacks.add_argument(
        "--live-clips",
        type=int,
        default=_DEFAULTS.live_clips,
        metavar="N",
        help=f"of living people (default {_DEFAULTS.live_clips})",
    )
    attacks.add_argument(
        "--species", nargs="+", choices=list(Species), default=list(Species), help="default: all"
    )
    attacks.add_argument(
        "--levels",
        nargs="+",
        choices=list(Level),
        default=list(_DEFAULTS.levels),
        help="proofs of life to play them to (default challenge blink)",
    )
    attacks.add_argument(
        "--tuning-half",
        action="store_true",
        help="play the people on whom thresholds may be chosen instead of those kept for reports",
    )
    attacks.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="keep each clip's outcome there, and go on from those that are there",
    )
    attacks.add_argument(
        "--fasnet", type=Path, metavar="DIR", help="FasNet's two files (default: where it is kept)"
    )


def measure(pictures: Mapping[str, Sequence[Path]], options: Mapping[str, Any], say: Say) -> Report:
    """Raises ``ValueError`` and ``EngineError``, whose texts say what to do."""
    for name in ("clips", "live_clips"):
        if options[name] < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {options[name]}, expected at least 1")
    plan = AttackPlan(
        species=tuple(Species(one) for one in options["species"]),
        clips=options["clips"],
        live_clips=options["live_clips"],
        levels=tuple(Level(one) for one in options["levels"]),
        seed=options["seed"],
        tuning=options["tuning_half"],
    )
    engine = EngineChoice(
        models=model_choice(),
        model_cache_dir=settings.MODEL_CACHE_DIR,
        workers=settings.RECOGNITION_WORKERS,
        fasnet_folder=_fasnet_folder(options["fasnet"], say),
    )
    kept = KeptOutcomes(options["keep"], _measured(plan, engine)) if options["keep"] else None
    return measure_attacks(pictures, plan, engine, say=say, kept=kept)


def _measured(plan: AttackPlan, engine: EngineChoice) -> dict[str, Any]:
    """Everything that the outcome of a clip depends on, but for the code."""
    limits = (PassiveThresholds(), BlinkThresholds(), ActionThresholds(), DialoguePolicy())
    return {
        "plan": repr(plan),
        "models": repr(engine.models),
        "fasnet": engine.fasnet_folder is not None,
        "limits": repr(limits),
    }


def _fasnet_folder(named: Path | None, say: Say) -> Path | None:
    """Where FasNet is; None where it is in its usual place neither and nobody named another."""
    folder = named or weights_folder(settings.MODEL_CACHE_DIR)
    try:
        FasNet(folder)
    except EngineError as error:
        if named is not None or error.code != "model_missing":
            raise
        say("FasNet is not installed: its baseline is left out")
        return None
    return folder
