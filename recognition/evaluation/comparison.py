"""What each part of the search helps, one after the other, against the usual way.

The usual way is that of the `face_recognition` library: dlib's descriptor of one crop of each
picture, Euclidean distance, the smallest to any of a person's pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from django.conf import settings

from recognition.engine import dlib_resnet
from recognition.engine.evaluation import Embeddings, Similarities
from recognition.engine.images import decode_photo
from recognition.engine.models import DlibResnetEmbedder
from recognition.engine.open_set import (
    Draw,
    People,
    Scorer,
    Shown,
    Trials,
    TwoHalves,
    by_cosine,
    draw_galleries,
    fused,
    halves_of,
    search,
    templates_of,
)
from recognition.engine.quality import fusion_weight
from recognition.engine.thresholds import COHORT, CohortThresholds
from recognition.evaluation.faces import Faces, Say, faces_in
from recognition.evaluation.options import FPIRS, RESAMPLES, Figures, Options

FUSED_FRAMES = 5
COHORT_SIZES = (50, 100, 200)
COHORT_WEIGHTS = (0.25, 0.75)

USUAL_BEST = "Euclidean, one crop, mean of the pictures"
IN_FORCE = "  and the whole cohort (in force)"

#: Makes the scorer of one half of the people; the other half is its cohort.
_Way = Callable[[People, People], Scorer]


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    faces = faces_in(pictures, say)
    say("one crop of each picture, as the usual way takes it")
    one_crop = one_crop_descriptors(faces)
    return [_compared(faces, one_crop, size=size, options=options) for size in options.sizes]


def one_crop_descriptors(faces: Faces) -> People:
    """dlib's raw descriptors of the unmirrored crops, ``(pictures, 128)`` of each person."""
    session = dlib_resnet.load_session(settings.MODEL_CACHE_DIR)
    embedder = DlibResnetEmbedder(session)
    descriptors = {}
    for name, pictures in faces.people.items():
        chips = np.stack(
            [
                embedder.aligned_crop(decode_photo(one.path.read_bytes()), one.face.landmarks)
                for one in pictures
            ]
        )
        descriptors[name] = dlib_resnet.descriptors(session, chips)
    return descriptors


def _compared(faces: Faces, one_crop: People, *, size: int, options: Options) -> Figures:
    people = faces.embeddings()
    halves = halves_of(people, enrol=options.enrol, seed=options.seed)
    ways = {
        **_usual_ways(one_crop),
        **_ways_without_cohort(faces, people, options),
        **_ways_beside_cohort(options),
    }
    asked = [(name, 1) for name in ways] + [(name, FUSED_FRAMES) for name in (USUAL_BEST, IN_FORCE)]
    return {
        "gallery_size": size,
        "people": len(people),
        "ways": [
            {
                "way": name,
                "frames": frames,
                **_figures_of(ways[name], halves, size, options, frames=frames),
            }
            for name, frames in asked
        ],
    }


def _usual_ways(one_crop: People) -> dict[str, _Way]:
    unit = {name: rows / np.linalg.norm(rows, axis=1)[:, None] for name, rows in one_crop.items()}
    return {
        "Euclidean, one crop, nearest picture (usual)": lambda _half, _other: by_distance(one_crop),
        USUAL_BEST: lambda _half, _other: by_distance_to_mean(one_crop),
        "cosine, one crop, fused template": lambda _half, _other: by_cosine(unit),
    }


def _ways_without_cohort(faces: Faces, people: People, options: Options) -> dict[str, _Way]:
    """The mirrored crops, and what does not help on top of them."""
    weights = {
        name: np.array([fusion_weight(one.face.quality) for one in pictures], np.float32)
        for name, pictures in faces.people.items()
    }
    enrol = options.enrol
    return {
        "cosine, mirrored crops, fused template": lambda half, _other: by_cosine(half),
        "  and weights by quality": lambda _half, _other: by_weighted_cosine(people, weights),
        "  and less the cohort's mean face": lambda half, other: by_centred_cosine(
            half, templates_of(other, enrol=enrol)
        ),
        "  and classical S-norm": lambda half, other: by_s_norm(
            half, templates_of(other, enrol=enrol)
        ),
    }


def _ways_beside_cohort(options: Options) -> dict[str, _Way]:
    sizes = {f"  and a cohort of {size}": _beside(size, options) for size in COHORT_SIZES}
    weights = {
        f"  and the whole cohort, weight {weight}": _beside(
            None, options, replace(COHORT, weight=weight)
        )
        for weight in COHORT_WEIGHTS
    }
    return {**sizes, **weights, IN_FORCE: _beside(None, options)}


def _beside(cohort_size: int | None, options: Options, limits: CohortThresholds = COHORT) -> _Way:
    def way(half: People, other: People) -> Scorer:
        cohort = templates_of(other, enrol=options.enrol)
        drawn = np.random.default_rng(options.seed).permutation(len(cohort))
        return by_cosine(half, cohort[drawn[:cohort_size]], limits)

    return way


def _figures_of(
    way: _Way, halves: tuple[People, People], size: int, options: Options, *, frames: int
) -> Figures:
    def searched(half: People, other: People) -> Trials:
        counts = {name: len(rows) for name, rows in half.items()}
        draws = draw_galleries(
            counts,
            gallery_size=size,
            enrol=options.enrol,
            draws=options.draws,
            seed=options.seed,
            frames=frames,
        )
        return search(draws, way(half, other))

    first, second = halves
    both = TwoHalves(searched(first, second), searched(second, first))
    points = both.points(FPIRS, times=RESAMPLES, seed=options.seed)
    return {
        "rank_1": both.together.rank_1,
        "mated": len(both.together.mated),
        "non_mated": len(both.together.non_mated),
        "points": [asdict(point) for point in points],
    }


def lines(result: Figures) -> Iterator[str]:
    yield f"\ngallery of {result['gallery_size']}, {result['people']} people in two halves"
    heads = "".join(f"{f'FPIR {fpir:.1%}':>12}" for fpir in FPIRS)
    yield f"  {'FNIR at':<46}{'rank-1':>9}{heads}   95 % of the last"
    for row in result["ways"]:
        name = row["way"] + (f", {row['frames']} frames" if row["frames"] > 1 else "")
        shares = "".join(f"{point['fnir']:>12.2%}" for point in row["points"])
        low, high = row["points"][-1]["fnir_interval"]
        yield f"  {name:<46}{row['rank_1']:>9.2%}{shares}   {low:.2%} to {high:.2%}"


# The ways that are not in force. What is, is `open_set.by_cosine`.


def by_distance(descriptors: People) -> Scorer:
    """The smallest Euclidean distance to any picture of a person, negated.

    Several frames are taken together by the mean of their distances.
    """

    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        enrolled = np.concatenate([descriptors[one.name][one.pictures] for one in draw.enrolled])
        ends = np.cumsum([len(one.pictures) for one in draw.enrolled])[:-1]
        starts = [0, *ends]

        def compared(probes: Sequence[Shown]) -> Similarities:
            frames = np.concatenate([descriptors[one.name][one.pictures] for one in probes])
            distances = _distances(frames, enrolled)
            of_probes = np.cumsum([0, *(len(one.pictures) for one in probes)])[:-1]
            counts = np.array([len(one.pictures) for one in probes])[:, None]
            means = np.add.reduceat(distances, of_probes, axis=0) / counts
            return np.asarray(-np.minimum.reduceat(means, starts, axis=1), np.float32)

        return compared(draw.mated), compared(draw.non_mated)

    return score


def by_distance_to_mean(descriptors: People) -> Scorer:
    """The Euclidean distance to the mean of a person's pictures, negated."""

    def means(shown: Sequence[Shown]) -> Embeddings:
        return np.stack([descriptors[one.name][one.pictures].mean(axis=0) for one in shown])

    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        templates = means(draw.enrolled)
        return (
            -_distances(means(draw.mated), templates),
            -_distances(means(draw.non_mated), templates),
        )

    return score


def by_weighted_cosine(people: People, weights: Mapping[str, Similarities]) -> Scorer:
    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        templates = fused(people, draw.enrolled, weights)
        return (
            fused(people, draw.mated, weights) @ templates.T,
            fused(people, draw.non_mated, weights) @ templates.T,
        )

    return score


def by_centred_cosine(people: People, cohort: Embeddings) -> Scorer:
    """Cosine of what is left when the mean of the cohort is taken away."""
    mean = cohort.mean(axis=0)

    def centred(shown: Sequence[Shown]) -> Embeddings:
        rows = fused(people, shown) - mean
        return np.asarray(rows / np.linalg.norm(rows, axis=1)[:, None], np.float32)

    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        templates = centred(draw.enrolled)
        return centred(draw.mated) @ templates.T, centred(draw.non_mated) @ templates.T

    return score


def by_s_norm(people: People, cohort: Embeddings) -> Scorer:
    """Symmetric normalisation against the whole cohort (Kenny 2010): mean of both z-scores."""

    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        templates = fused(people, draw.enrolled)
        of_templates = templates @ cohort.T

        def compared(probes: Embeddings) -> Similarities:
            similarities, of_probes = probes @ templates.T, probes @ cohort.T
            by_template = (similarities - of_templates.mean(axis=1)) / of_templates.std(axis=1)
            by_probe = (similarities - of_probes.mean(axis=1)[:, None]) / of_probes.std(axis=1)[
                :, None
            ]
            return np.asarray((by_template + by_probe) / 2, np.float32)

        return compared(fused(people, draw.mated)), compared(fused(people, draw.non_mated))

    return score


def _distances(first: Embeddings, second: Embeddings) -> Similarities:
    """Euclidean, ``(n, m)``."""
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)), np.float32)
