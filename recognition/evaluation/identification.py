"""Open-set identification at several sizes of the gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from recognition.engine.evaluation import Embeddings
from recognition.engine.open_set import (
    People,
    Trials,
    TwoHalves,
    by_cosine,
    draw_galleries,
    halves_of,
    search,
    templates_of,
)
from recognition.engine.thresholds import COHORT, IdentificationThresholds
from recognition.engine.types import EngineError
from recognition.evaluation.faces import Say, faces_in
from recognition.evaluation.options import FPIRS, RESAMPLES, Figures, Options
from recognition.selectors import thresholds_in_force
from recognition.workers import active_model_id

#: A rate by fewer people says nothing: one of them who is not found is 5 % and more.
LEAST_OF_GROUP = 20


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    faces = faces_in(pictures, say)
    people = faces.embeddings()
    model_id = active_model_id()
    return [
        figures_of(people, size=size, options=options, model_id=model_id)
        | {"left_out": faces.left_out}
        for size in options.sizes
    ]


def figures_of(people: People, *, size: int, options: Options, model_id: str) -> Figures:
    """Everything about one size of gallery, without and with a cohort.

    Raises:
        ValueError: too few people for two halves with a gallery of that size in each.
    """
    halves = halves_of(people, enrol=options.enrol, seed=options.seed)
    alone = _searched(halves, size, options, beside_cohort=False)
    cohort_people = min(len(half) for half in halves)
    beside = (
        _searched(halves, size, options, beside_cohort=True)
        if COHORT.suffices(cohort_people, size)
        else None
    )
    result: Figures = {
        "gallery_size": size,
        "model": model_id,
        "people": len(people),
        "pictures": sum(map(len, people.values())),
        "left_out": 0,
        "cohort": cohort_people if beside else 0,
        "mated": len(alone.together.mated),
        "non_mated": len(alone.together.non_mated),
        "rank_1": alone.together.rank_1,
        "alone": _points(alone, options),
        "beside_cohort": _points(beside, options) if beside else None,
        "curve": alone.together.curve(),
        "curve_beside_cohort": beside.together.curve() if beside else None,
        "groups": _by_group(beside or alone, options.groups) if options.groups else None,
    }
    return result | {"in_force": rates_in_force(result)}


def lines(result: Figures) -> Iterator[str]:
    yield (
        f"\nmodel {result['model']}: {result['pictures']} pictures of {result['people']} people, "
        f"{result['left_out']} left out without a single face"
    )
    yield (
        f"gallery of {result['gallery_size']}: {result['mated']} mated and "
        f"{result['non_mated']} non-mated probes"
    )
    yield f"  rank-1 {result['rank_1']:.2%}"
    yield from _point_lines(result["alone"])
    if result["beside_cohort"]:
        yield f"  beside a cohort of {result['cohort']}"
        yield from _point_lines(result["beside_cohort"])
    at = result["in_force"]
    if at:
        yield (
            f"  at the threshold in force, {at['threshold']:.4f}: FNIR {at['fnir']:.2%}, "
            f"FPIR {at['fpir']:.2%}"
        )
    for group in result["groups"] or []:
        small = "" if group["enough"] else f" (fewer than {LEAST_OF_GROUP} people: says little)"
        yield (
            f"  group {group['group']}: FNIR {_share(group['fnir'])} of {group['mated']} probes of "
            f"{group['mated_people']} people, FPIR {_share(group['fpir'])} of "
            f"{group['non_mated']} probes of {group['non_mated_people']} people{small}"
        )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _point_lines(points: list[Figures]) -> Iterator[str]:
    for at in points:
        low, high = at["fnir_interval"]
        yield (
            f"  FNIR {at['fnir']:.2%} ({low:.2%} to {high:.2%}) at FPIR {at['target_fpir']:.1%} "
            f"(threshold {at['threshold']:.4f}, {at['threshold_interval'][0]:.4f} to "
            f"{at['threshold_interval'][1]:.4f}; FPIR of the other half {at['fpir']:.2%})"
        )


def _searched(
    halves: tuple[People, People], size: int, options: Options, *, beside_cohort: bool
) -> TwoHalves:
    first, second = halves
    cohorts: tuple[Embeddings | None, Embeddings | None] = (None, None)
    if beside_cohort:
        cohorts = (
            templates_of(second, enrol=options.enrol),
            templates_of(first, enrol=options.enrol),
        )
    return TwoHalves(
        *(
            search(
                draw_galleries(
                    {name: len(rows) for name, rows in half.items()},
                    gallery_size=size,
                    enrol=options.enrol,
                    draws=options.draws,
                    seed=options.seed,
                ),
                by_cosine(half, cohort),
            )
            for half, cohort in zip(halves, cohorts, strict=True)
        )
    )


def _points(halves: TwoHalves, options: Options) -> list[Figures]:
    points = halves.points(FPIRS, times=RESAMPLES, seed=options.seed)
    return [asdict(point) for point in points]


def rates_at(result: Figures, limits: IdentificationThresholds) -> Figures:
    """What these thresholds do to the people who were measured: beside the cohort, if both can.

    Between the points of the curve the rates are linear.
    """
    size = result["gallery_size"]
    beside = bool(limits.above_cohort_at_size) and result["curve_beside_cohort"] is not None
    threshold = limits.above_cohort_for(size) if beside else limits.similarity_for(size)
    curve = np.array(result["curve_beside_cohort"] if beside else result["curve"])
    return {
        "threshold": threshold,
        "beside_cohort": beside,
        "fpir": float(np.interp(threshold, curve[:, 0], curve[:, 1])),
        "fnir": float(np.interp(threshold, curve[:, 0], curve[:, 2])),
    }


def rates_in_force(result: Figures) -> Figures | None:
    """What the thresholds that serve now do to them; None where none are known for the model."""
    try:
        limits = thresholds_in_force(model_id=result["model"])
    except EngineError:
        return None
    return rates_at(result, limits)


def _by_group(halves: TwoHalves, groups: Mapping[str, str]) -> list[Figures]:
    """The rates of each group where everybody together has an FPIR of 0.1 %."""
    trials = halves.together
    threshold = trials.threshold_at(FPIRS[-1])
    return [
        _of_group(group, trials.of(name for name, of in groups.items() if of == group), threshold)
        for group in sorted(set(groups.values()))
    ]


def _of_group(group: str, trials: Trials, threshold: float) -> Figures:
    mated_people, others = set(trials.mated_names), set(trials.non_mated_names)
    return {
        "group": group,
        "mated": len(trials.mated),
        "mated_people": len(mated_people),
        "fnir": trials.fnir_at(threshold) if len(trials.mated) else None,
        "non_mated": len(trials.non_mated),
        "non_mated_people": len(others),
        "fpir": trials.fpir_at(threshold) if len(trials.non_mated) else None,
        "enough": min(len(mated_people), len(others)) >= LEAST_OF_GROUP,
    }
