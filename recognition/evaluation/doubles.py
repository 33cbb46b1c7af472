"""The search for people with two accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recognition.engine.evaluation import DoubleTrials, double_trials
from recognition.engine.thresholds import ResemblanceThresholds
from recognition.evaluation.faces import Say, faces_in
from recognition.evaluation.options import Figures, Options

FALSE_FLAGS = 0.01


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    people = faces_in(pictures, say).embeddings()
    return [
        figures_of(
            double_trials(
                people,
                accounts=accounts,
                enrol=options.enrol,
                draws=options.draws,
                seed=options.seed,
            ),
            enrol=options.enrol,
        )
        for accounts in options.sizes
    ]


def figures_of(trials: DoubleTrials, *, enrol: int) -> Figures:
    in_force = ResemblanceThresholds()
    thresholds = {
        "same face": in_force.same_face_similarity,
        "look-alike": in_force.look_alike_similarity,
        f"at {FALSE_FLAGS:.0%} false flags": trials.threshold_at(FALSE_FLAGS),
    }
    return {
        "accounts": trials.accounts,
        "pictures_per_account": enrol,
        "doubles": len(trials.doubles),
        "singles": len(trials.singles),
        "operating_points": [
            {
                "name": name,
                "threshold": threshold,
                "found": trials.found_at(threshold),
                "falsely_flagged": trials.falsely_flagged_at(threshold),
            }
            for name, threshold in thresholds.items()
        ],
    }


def lines(result: Figures) -> Iterator[str]:
    yield (
        f"\n{result['accounts']} accounts of {result['pictures_per_account']} pictures: "
        f"{result['doubles']} doubles and {result['singles']} accounts without one"
    )
    for at in result["operating_points"]:
        yield (
            f"  {at['name']} ({at['threshold']:.4f}): {at['found']:.2%} of the doubles found, "
            f"{at['falsely_flagged']:.2%} of the accounts falsely flagged"
        )
