"""What a "not me" holds back, on labelled faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.evaluation import Embeddings
from recognition.engine.gallery import fuse
from recognition.engine.thresholds import MistakeThresholds

#: To the mistaken face and to the template, ``(n, 2)``.
Pairs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MistakeTrials:
    """Probes that a template matches, after a face was said not to be its person's.

    ``others`` are further pictures of the person who was mistaken, ``owners`` those of the
    template's own person. ``deniers`` are the own person's too, after one who denied a picture
    that was theirs. ``mistakes`` is how often another person passed.
    """

    mistakes: int
    others: Pairs
    owners: Pairs
    deniers: Pairs


def held_back(pairs: Pairs, limits: MistakeThresholds) -> float:
    """The share that is no longer taken for the template's person; 0 of none.

    >>> held_back(np.array([[0.99, 0.95], [0.95, 0.99]], np.float32), MistakeThresholds())
    0.5
    """
    mistaken = [limits.is_mistaken(to_mistaken=float(m), to_own=float(o)) for m, o in pairs]
    return float(np.mean(mistaken)) if mistaken else 0.0


def mistake_trials(
    people: Mapping[str, Embeddings], *, threshold: float, enrol: int, draws: int, seed: int
) -> MistakeTrials:
    """Let every picture of everybody else that a template matches be said not to be its person.

    Args:
        people: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
        threshold: similarity from which a picture is taken for the template's person.
        enrol: pictures fused into a template, drawn anew each time.

    Raises:
        ValueError: nobody has more than ``enrol`` pictures, or there is nobody else.
    """
    enrolled = [name for name, rows in people.items() if len(rows) > enrol]
    if not enrolled or len(people) < 2:
        raise ValueError(
            f"got {len(enrolled)} people with more than {enrol} pictures of {len(people)} in all, "
            "expected at least one of them and somebody else; enrol fewer pictures"
        )
    random = np.random.default_rng(seed)
    probes = np.concatenate(list(people.values()))
    probers = np.repeat(list(people), [len(rows) for rows in people.values()])
    mistakes = 0
    none = np.empty((0, 2), np.float32)
    others: list[Pairs] = [none]
    owners: list[Pairs] = [none]
    deniers: list[Pairs] = []
    for _draw in range(draws):
        for owner in enrolled:
            pictures = random.permutation(people[owner])
            template = fuse(list(pictures[:enrol]))
            left = pictures[enrol:]
            own = left[left @ template >= threshold]
            deniers.append(_after_each(own, own, template, besides_itself=True))
            passed = (probes @ template >= threshold) & (probers != owner)
            for name in np.unique(probers[passed]):
                taken = probes[passed & (probers == name)]
                mistakes += len(taken)
                others.append(_after_each(taken, taken, template, besides_itself=True))
                owners.append(_after_each(taken, own, template, besides_itself=False))
    return MistakeTrials(
        mistakes, np.concatenate(others), np.concatenate(owners), np.concatenate(deniers)
    )


def _after_each(
    mistaken: Embeddings, probes: Embeddings, template: Embeddings, *, besides_itself: bool
) -> Pairs:
    """Every probe against every mistaken face, and against the template."""
    to_mistaken = probes @ mistaken.T
    to_own = np.broadcast_to((probes @ template)[:, None], to_mistaken.shape)
    pairs = np.stack([to_mistaken, to_own], axis=-1)
    return pairs[~np.eye(len(probes), dtype=bool)] if besides_itself else pairs.reshape(-1, 2)
