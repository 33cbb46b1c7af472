"""Attendance from made pictures of a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from recognition.class_photo_trials import class_photo_trials, halves, labelled_pictures
from recognition.engine.assignment import assign
from recognition.engine.mosaics import (
    NO_FACE,
    Assign,
    MosaicTrial,
    each_face_alone,
    figures_with,
    threshold_at,
)
from recognition.engine.thresholds import CLASS_PHOTO_IDENTIFICATION
from recognition.evaluation.faces import Say
from recognition.evaluation.options import Figures, Options
from recognition.workers import worker_pool

FALSE_FLAGS = 0.01


def measure(pictures: Mapping[str, Sequence[Path]], options: Options, say: Say) -> list[Figures]:
    groups = halves(
        labelled_pictures(worker_pool(), pictures), enrol=options.enrol, seed=options.seed
    )
    results = []
    for size in options.sizes:
        choosing, reported = (
            class_photo_trials(
                worker_pool(),
                people,
                class_size=size,
                enrol=options.enrol,
                draws=options.draws,
                seed=options.seed,
            )
            for people in groups
        )
        results.append(figures_of(size, choosing, reported))
    return results


def figures_of(
    class_size: int, choosing: Sequence[MosaicTrial], reported: Sequence[MosaicTrial]
) -> Figures:
    threshold = CLASS_PHOTO_IDENTIFICATION.similarity_for(class_size)
    shows = np.concatenate([trial.shows for trial in reported])
    return {
        "class_size": class_size,
        "class_photos": len(reported),
        "faces": sum(len(trial.present) + trial.strangers for trial in reported),
        "faces_found": int(np.count_nonzero(shows != NO_FACE)),
        "others_found": int(np.count_nonzero(shows == NO_FACE)),
        "chosen_threshold": threshold_at(FALSE_FLAGS, choosing),
        "threshold": threshold,
        "global_optimum": _figures_with(assign, reported, threshold),
        "each_face_alone": _figures_with(each_face_alone, reported, threshold),
    }


def _figures_with(assign_faces: Assign, trials: Sequence[MosaicTrial], threshold: float) -> Figures:
    margin = CLASS_PHOTO_IDENTIFICATION.margin
    found = figures_with(assign_faces, trials, threshold=threshold, margin=margin)
    return {"precision": found.precision, "recall": found.recall, **asdict(found)}


def lines(result: Figures) -> Iterator[str]:
    yield (
        f"\nclass of {result['class_size']}: {result['class_photos']} class photos, "
        f"{result['faces_found']} of {result['faces']} faces found and "
        f"{result['others_found']} others"
    )
    yield (
        f"  {FALSE_FLAGS:.0%} of the strangers reach {result['chosen_threshold']:.4f} in the "
        f"half that chooses; in force is {result['threshold']:.4f}"
    )
    for name in ("global_optimum", "each_face_alone"):
        at = result[name]
        yield (
            f"  {name.replace('_', ' ')}: precision {at['precision']:.2%}, recall "
            f"{at['recall']:.2%}, {at['wrong_names']} wrong names"
        )
