"""Whom a “not me” holds back afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recognition.engine.mistake_trials import MistakeTrials, held_back, mistake_trials
from recognition.engine.thresholds import MistakeThresholds
from recognition.evaluation.faces import Say, faces_in
from recognition.evaluation.options import Figures, Options
from recognition.selectors import thresholds_in_force
from recognition.workers import active_model_id


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    people = faces_in(pictures, say).embeddings()
    limits = thresholds_in_force(model_id=active_model_id())
    return [
        figures_of(
            mistake_trials(
                people,
                threshold=limits.similarity_for(size),
                enrol=options.enrol,
                draws=options.draws,
                seed=options.seed,
            ),
            size=size,
        )
        for size in options.sizes
    ]


def figures_of(trials: MistakeTrials, *, size: int) -> Figures:
    limits = MistakeThresholds()
    of_whom = {"mistaken": trials.others, "owner": trials.owners, "denier": trials.deniers}
    return {
        "class_size": size,
        "mistakes": trials.mistakes,
        "held_back": {
            who: {"probes": len(pairs), "share": held_back(pairs, limits)}
            for who, pairs in of_whom.items()
        },
    }


def lines(result: Figures) -> Iterator[str]:
    yield f"\nclass of {result['class_size']}: {result['mistakes']} mistakes"
    for who, at in result["held_back"].items():
        yield f"  {who}: {at['share']:.2%} of {at['probes']} held back"
