"""The comparison of a face with one person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recognition.engine.evaluation import VerificationTrials, verification_trials
from recognition.engine.thresholds import VERIFICATION_SIMILARITY
from recognition.evaluation.faces import Say, faces_in
from recognition.evaluation.options import RESAMPLES, Figures, Options

FMRS = (0.01, 0.001, 0.0001)


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    people = faces_in(pictures, say).embeddings()
    trials = verification_trials(
        people, enrol=options.enrol, draws=options.draws, seed=options.seed
    )
    return [figures_of(trials, seed=options.seed)]


def figures_of(trials: VerificationTrials, *, seed: int) -> Figures:
    again = trials.resampled(fmrs=FMRS, times=RESAMPLES, seed=seed)
    in_force = VERIFICATION_SIMILARITY
    return {
        "mated": len(trials.mated),
        "non_mated": len(trials.non_mated),
        "operating_points": [
            {
                "fmr": fmr,
                "threshold": trials.threshold_at(fmr),
                "threshold_interval": again.threshold_interval(point),
                "fnmr": trials.fnmr_at(trials.threshold_at(fmr)),
                "fnmr_interval": again.fnmr_interval(point),
            }
            for point, fmr in enumerate(FMRS)
        ],
        "in_force": {
            "threshold": in_force,
            "fmr": trials.fmr_at(in_force),
            "fnmr": trials.fnmr_at(in_force),
        },
    }


def lines(result: Figures) -> Iterator[str]:
    yield f"\n{result['mated']} mated and {result['non_mated']} other comparisons"
    for at in result["operating_points"]:
        low, high = at["fnmr_interval"]
        yield (
            f"  FNMR {at['fnmr']:.2%} ({low:.2%} to {high:.2%}) at FMR {at['fmr']:.2%} "
            f"(threshold {at['threshold']:.4f}, {at['threshold_interval'][0]:.4f} to "
            f"{at['threshold_interval'][1]:.4f})"
        )
    at = result["in_force"]
    yield (
        f"  FNMR {at['fnmr']:.2%} and FMR {at['fmr']:.4%} at the threshold in force, "
        f"{at['threshold']:.4f}"
    )
