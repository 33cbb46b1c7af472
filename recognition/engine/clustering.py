"""Live faces of one session that are nobody of the class, gathered into people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recognition.engine.evaluation import Embeddings
from recognition.engine.types import Embedding


def nearest(probe: Embedding, people: Mapping[int, Embedding], *, similarity: float) -> int | None:
    """The key of the person most like the probe; None where nobody reaches the similarity.

    All embeddings are ``(d,)`` and of unit length.

    >>> east, north = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    >>> nearest(east, {1: north, 2: east}, similarity=0.9)
    2
    >>> nearest(east, {1: north}, similarity=0.9) is None
    True
    """
    if not people:
        return None
    key = max(people, key=lambda one: float(people[one] @ probe))
    return key if float(people[key] @ probe) >= similarity else None


def joined(mean: Embedding, probe: Embedding, *, seen: int) -> Embedding:
    """The mean of a person's visits with one more, of unit length; ``seen`` came before it."""
    total = mean * np.float32(seen) + probe
    return np.asarray(total / np.linalg.norm(total), np.float32)


@dataclass(frozen=True, slots=True)
class ClusterTrials:
    """How many visits of strangers were gathered wrongly, over many sessions."""

    people: int
    later_visits: int
    further_alerts: int
    people_missed: int

    @property
    def split(self) -> float:
        """Share of the later visits that were taken for somebody new."""
        return self.further_alerts / self.later_visits

    @property
    def missed(self) -> float:
        """Share of the people who were taken for somebody else at each visit."""
        return self.people_missed / self.people


def cluster_trials(
    people: Mapping[str, Embeddings],
    *,
    strangers: int,
    visits: int,
    similarity: float,
    draws: int,
    seed: int,
) -> ClusterTrials:
    """Let random strangers come to ``draws`` sessions, each with one picture a visit.

    ``people``: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.

    Raises:
        ValueError: too few people have so many pictures.
    """
    known = [name for name, rows in people.items() if len(rows) >= visits]
    if len(known) < strangers or visits < 2:
        raise ValueError(
            f"got {len(known)} people with {visits} pictures or more, expected at least "
            f"{strangers} and two visits each; choose fewer strangers or visits"
        )
    random = np.random.default_rng(seed)
    further = missed = 0
    for _draw in range(draws):
        who = random.permutation(known)[:strangers]
        came = [(name, row) for name in who for row in random.permutation(people[name])[:visits]]
        random.shuffle(came)
        alerts = _alerts_of(came, similarity)
        counts = [alerts.count(name) for name in who]
        further += sum(max(count - 1, 0) for count in counts)
        missed += counts.count(0)
    return ClusterTrials(
        people=draws * strangers,
        later_visits=draws * strangers * (visits - 1),
        further_alerts=further,
        people_missed=missed,
    )


def _alerts_of(came: Sequence[tuple[str, Embedding]], similarity: float) -> list[str]:
    """Who was the first of each cluster."""
    means: dict[int, Embedding] = {}
    seen: dict[int, int] = {}
    first: list[str] = []
    for name, probe in came:
        key = nearest(probe, means, similarity=similarity)
        if key is None:
            means[len(first)], seen[len(first)] = probe, 1
            first.append(name)
        else:
            means[key] = joined(means[key], probe, seen=seen[key])
            seen[key] += 1
    return first
