"""Verification accuracy by the protocol of Labeled Faces in the Wild, from a file of pairs.

The file is that of LFW's `pairs.txt` (Huang et al. 2007): the first line has the number of folds
and of pairs of each kind in a fold; then each fold has its pairs of one person (`name 1 4`) and its
pairs of two (`name 1 other 2`). Pictures are DIR/<name>/<name>_0001.jpg and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recognition.engine.types import Embedding
from recognition.evaluation.faces import Say, faces_in
from recognition.evaluation.options import Figures


@dataclass(frozen=True, slots=True)
class Pair:
    first: Path
    second: Path
    is_same: bool
    fold: int


def pairs_in(file: Path, folder: Path) -> list[Pair]:
    """The pairs of the file, whose pictures are in the folder.

    Raises:
        ValueError: a line is not as it should be, or names a picture that is not there; the text
            has the number of the line.
    """
    try:
        numbered = list(enumerate(file.read_text(encoding="utf-8").splitlines(), start=1))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as a file of pairs: {error}") from error
    written = [(number, line.split()) for number, line in numbered if line.strip()]
    if not written:
        raise ValueError(f"{file} is empty, expected the number of folds and then pairs")
    folds, of_each_kind = _head(file, written[0][1])
    pairs = [
        _pair(file, number, words, folder, fold=at // (2 * of_each_kind))
        for at, (number, words) in enumerate(written[1:])
    ]
    if len(pairs) != folds * 2 * of_each_kind:
        raise ValueError(
            f"{file} has {len(pairs)} pairs, expected {folds * 2 * of_each_kind}: {folds} folds of "
            f"{of_each_kind} pairs of one person and as many of two, as its first line says"
        )
    return pairs


def _head(file: Path, words: Sequence[str]) -> tuple[int, int]:
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise ValueError(
            f"{file}, line 1: got {' '.join(words)!r}, expected two numbers: how many folds, and "
            "how many pairs of each kind in one"
        )
    folds, of_each_kind = map(int, words)
    if folds < 2 or of_each_kind < 1:
        raise ValueError(
            f"{file}, line 1: got {folds} folds of {of_each_kind} pairs, expected at least 2 of 1"
        )
    return folds, of_each_kind


def _pair(file: Path, number: int, words: Sequence[str], folder: Path, *, fold: int) -> Pair:
    match words:
        case [name, one, other] if one.isdecimal() and other.isdecimal():
            named, is_same = [(name, one), (name, other)], True
        case [first, one, second, other] if one.isdecimal() and other.isdecimal():
            named, is_same = [(first, one), (second, other)], False
        case _:
            raise ValueError(
                f"{file}, line {number}: got {' '.join(words)!r}, expected “name 1 4” for one "
                "person or “name 1 other 2” for two"
            )
    paths = [folder / name / f"{name}_{int(which):04d}.jpg" for name, which in named]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise ValueError(
            f"{file}, line {number}: {missing} is not there; bring the picture or take the line out"
        )
    return Pair(paths[0], paths[1], is_same, fold)


def measure(pairs: Sequence[Pair], say: Say) -> Figures:
    """The accuracy in each fold at the threshold that is best in the others."""
    wanted = sorted({path for pair in pairs for path in (pair.first, pair.second)})
    by_person: dict[str, list[Path]] = {}
    for path in wanted:
        by_person.setdefault(path.parent.name, []).append(path)
    faces = faces_in(by_person, say)
    embeddings = {
        one.path: one.face.embedding
        for pictures in faces.people.values()
        for one in pictures
        if one.face.embedding is not None
    }
    return figures_of(pairs, embeddings)


def figures_of(pairs: Sequence[Pair], embeddings: dict[Path, Embedding]) -> Figures:
    """A pair with a picture without a face counts as two people: nobody could match it."""
    similarities = np.array([_similarity(pair, embeddings) for pair in pairs])
    same = np.array([pair.is_same for pair in pairs])
    folds = np.array([pair.fold for pair in pairs])
    accuracies, thresholds = [], []
    for fold in np.unique(folds):
        chosen_on = folds != fold
        threshold = best_threshold(similarities[chosen_on], same[chosen_on])
        tried = folds == fold
        accuracies.append(float(np.mean((similarities[tried] >= threshold) == same[tried])))
        thresholds.append(threshold)
    error = float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)))
    return {
        "pairs": len(pairs),
        "folds": len(accuracies),
        "without_face": int(np.count_nonzero(np.isneginf(similarities))),
        "accuracy": float(np.mean(accuracies)),
        "standard_error": error,
        "thresholds": thresholds,
    }


def best_threshold(similarities: np.ndarray, same: np.ndarray) -> float:
    """The similarity from which on most pairs are told rightly; of several the least.

    >>> float(best_threshold(np.array([0.9, 0.8, 0.2]), np.array([True, True, False])))
    0.8
    """
    candidates = np.unique(similarities[np.isfinite(similarities)])
    right = [np.count_nonzero((similarities >= one) == same) for one in candidates]
    return float(candidates[int(np.argmax(right))])


def _similarity(pair: Pair, embeddings: dict[Path, Embedding]) -> float:
    first, second = embeddings.get(pair.first), embeddings.get(pair.second)
    return -np.inf if first is None or second is None else float(first @ second)


def lines(result: Figures) -> Iterator[str]:
    yield (
        f"\n{result['pairs']} pairs in {result['folds']} folds, {result['without_face']} of them "
        "with a picture without a single face"
    )
    yield (
        f"  accuracy {result['accuracy']:.2%}, standard error {result['standard_error']:.2%} "
        f"(thresholds {min(result['thresholds']):.4f} to {max(result['thresholds']):.4f})"
    )
