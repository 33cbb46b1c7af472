"""Open-set identification measured on labelled faces.

Terms after ISO/IEC 19795-1: a *mated* probe shows somebody in the gallery, a *non-mated* one a
stranger. FPIR is the share of non-mated probes that are taken for somebody; FNIR the share of
mated probes that are not found, or found as somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.gallery import fuse

Embeddings = npt.NDArray[np.float32]
Similarities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trials:
    """Searches of many probes, pooled over random galleries.

    ``mated``: similarity to the own template, ``(m,)``; ``rivals``: to the nearest other one,
    ``(m,)``; ``non_mated``: of strangers to the nearest template, ``(k,)``.
    """

    mated: Similarities
    rivals: Similarities
    non_mated: Similarities
    gallery_size: int

    @property
    def rank_1(self) -> float:
        """Share of mated probes that are nearest to their own template."""
        return float(np.mean(self.mated > self.rivals))

    def threshold_at(self, fpir: float) -> float:
        """The least similarity at which at most this share of strangers is taken for somebody.

        >>> non_mated = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
        >>> trials = Trials(non_mated, non_mated, non_mated, gallery_size=1)
        >>> 0.3 < trials.threshold_at(0.25) < 0.31
        True
        """
        allowed = int(fpir * len(self.non_mated))
        ranked = np.sort(self.non_mated)[::-1]
        if allowed >= len(ranked):
            return -1.0
        return float(np.nextafter(ranked[allowed], np.float32(2)))

    def fpir_at(self, threshold: float) -> float:
        return float(np.mean(self.non_mated >= threshold))

    def fnir_at(self, threshold: float, margin: float = 0.0) -> float:
        """Share of mated probes not found at this threshold, with this lead over the rival."""
        found = (self.mated >= threshold) & (self.mated - self.rivals > margin)
        return float(1 - np.mean(found))


def open_set_trials(
    people: Mapping[str, Embeddings],
    *,
    gallery_size: int,
    enrol: int,
    draws: int,
    seed: int,
) -> Trials:
    """Search every probe in ``draws`` random galleries.

    Args:
        people: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
        gallery_size: people in the gallery. Those with more than ``enrol`` pictures come first;
            where they do not suffice, others fill up, enrolled from what they have.
        enrol: pictures fused into a template, drawn anew each time; the rest are mated probes.
            Every picture of everybody outside the gallery is a non-mated probe.

    Raises:
        ValueError: there are too few people, or nobody is left to be a stranger.
    """
    candidates = [name for name, rows in people.items() if len(rows) > enrol]
    fillers = [name for name, rows in people.items() if 0 < len(rows) <= enrol]
    if not candidates or gallery_size >= len(candidates) + len(fillers):
        raise ValueError(
            f"got {len(candidates)} people with more than {enrol} pictures and {len(fillers)} "
            f"others, expected at least one of the first kind and more than {gallery_size} in "
            "all: a gallery of that size and strangers to it; choose a smaller gallery"
        )
    random = np.random.default_rng(seed)
    mated, rivals, non_mated = [], [], []
    for _draw in range(draws):
        order = [*random.permutation(candidates), *random.permutation(fillers)]
        enrolled, strangers = order[:gallery_size], order[gallery_size:]
        templates: list[Embeddings] = []
        probes: list[Embeddings] = []
        owners: list[int] = []
        for row, name in enumerate(enrolled):
            pictures = random.permutation(people[name])
            templates.append(fuse(list(pictures[:enrol])))
            probes.extend(pictures[enrol:])
            owners.extend([row] * len(pictures[enrol:]))
        matrix = np.stack(templates)
        similarities = np.stack(probes) @ matrix.T
        own = similarities[np.arange(len(owners)), owners]
        similarities[np.arange(len(owners)), owners] = -1
        mated.append(own)
        rivals.append(similarities.max(axis=1))
        non_mated.append(
            (np.concatenate([people[name] for name in strangers]) @ matrix.T).max(axis=1)
        )
    return Trials(
        np.concatenate(mated), np.concatenate(rivals), np.concatenate(non_mated), gallery_size
    )
