"""What slow template updates gain, and what an impostor could make of them, on labelled faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recognition.engine.evaluation import Embeddings, Similarities, threshold_passed_by
from recognition.engine.template_updates import TemplateParts
from recognition.engine.thresholds import TEMPLATE_UPDATES, TemplateUpdateThresholds

#: Pictures of each person that are never learned from, so that something is left to search.
LEAST_PROBES = 2


@dataclass(frozen=True, slots=True)
class Searches:
    """Searches pooled over many galleries.

    ``mated``: similarity to the own template, ``(m,)``; ``rivals``: to the nearest other one,
    ``(m,)``; ``non_mated``: of strangers to the nearest template, ``(k,)``.
    """

    mated: Similarities
    rivals: Similarities
    non_mated: Similarities

    def fnir_at(self, fpir: float, margin: float) -> float:
        """Share of mated probes not found, with this lead, where so few strangers match."""
        threshold = threshold_passed_by(fpir, self.non_mated)
        found = (self.mated >= threshold) & (self.mated - self.rivals >= margin)
        return float(1 - np.mean(found))


@dataclass(frozen=True, slots=True)
class UpdateTrials:
    """The same searches in the galleries as enrolled, and after everybody checked in.

    ``learned`` is the mean number of check-ins that a template learned from.
    """

    before: Searches
    after: Searches
    learned: float


@dataclass(frozen=True, slots=True)
class IntrusionTrials:
    """Templates that meet every picture of everybody else.

    ``comparisons`` of a template with such a picture; ``matched`` those that reach the threshold
    of a match, ``learned`` those that a template would learn from. Then, where somebody else
    matched, their pictures that match are learned all the same until the places are full:
    ``owners`` and ``others`` are the shares, before and after, of the owner's pictures and of the
    other's that were not learned which match, ``least_to_enrolment`` how far the template went.
    """

    comparisons: int
    matched: int
    learned: int
    owners: tuple[float, float]
    others: tuple[float, float]
    least_to_enrolment: float


def update_trials(
    people: Mapping[str, Embeddings],
    *,
    gallery_size: int,
    enrol: int,
    check_ins: int,
    draws: int,
    seed: int,
    limits: TemplateUpdateThresholds = TEMPLATE_UPDATES,
) -> UpdateTrials:
    """Let the people of random galleries check in, then search their other pictures.

    Args:
        people: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
        gallery_size: people in each gallery.
        enrol: pictures of each of them that are enrolled.
        check_ins: how many of the others come to the door, where two are left to search.

    Raises:
        ValueError: fewer than ``gallery_size`` people have enough pictures, or nobody is left.
    """
    enough = [name for name, rows in people.items() if len(rows) > enrol + LEAST_PROBES]
    if not 0 < gallery_size <= len(enough) or gallery_size == len(people):
        raise ValueError(
            f"got {len(enough)} people with more than {enrol + LEAST_PROBES} pictures of "
            f"{len(people)} in all, expected {gallery_size} of them and somebody else"
        )
    random = np.random.default_rng(seed)
    before, after, learned = _Pool(), _Pool(), []
    for _draw in range(draws):
        names = random.choice(enough, gallery_size, replace=False)
        enrolled, updated, probes = [], [], []
        for name in names:
            pictures = random.permutation(people[name])
            parts = TemplateParts.of_enrolment(pictures[:enrol])
            others = pictures[enrol:]
            coming = others[: min(check_ins, len(others) - LEAST_PROBES)]
            enrolled.append(parts.vector(limits))
            for probe in coming:
                if parts.may_learn(probe, runner_up=None, limits=limits):
                    parts = parts.learned_from(probe, limits)
            updated.append(parts.vector(limits))
            learned.append(len(parts.learned))
            probes.append(others[len(coming) :])
        strangers = np.concatenate([rows for name, rows in people.items() if name not in names])
        before.add(np.stack(enrolled), probes, strangers)
        after.add(np.stack(updated), probes, strangers)
    return UpdateTrials(before.searches(), after.searches(), float(np.mean(learned)))


def intrusion_trials(
    people: Mapping[str, Embeddings],
    *,
    threshold: float,
    enrol: int,
    draws: int,
    seed: int,
    limits: TemplateUpdateThresholds = TEMPLATE_UPDATES,
) -> IntrusionTrials:
    """Let everybody else come to the door of each person who enrolled.

    Args:
        people: as for `update_trials`.
        threshold: similarity from which a picture is taken for the template's person.
        enrol: pictures of each template.

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
    pictures_of_all = np.concatenate(list(people.values()))
    whose = np.repeat(list(people), [len(rows) for rows in people.values()])
    comparisons = matched = learned = 0
    taken_over: list[_TakenOver] = []
    for _draw in range(draws):
        for owner in enrolled:
            pictures = random.permutation(people[owner])
            parts = TemplateParts.of_enrolment(pictures[:enrol])
            foreign = pictures_of_all[whose != owner]
            similarities = foreign @ parts.vector(limits)
            comparisons += len(foreign)
            matched += int(np.sum(similarities >= threshold))
            learned += sum(
                parts.may_learn(probe, runner_up=None, limits=limits)
                for probe in foreign[similarities >= limits.similarity]
            )
            for other in np.unique(whose[whose != owner][similarities >= threshold]):
                forced, left = _force(parts, people[other], threshold, limits)
                templates = np.stack([parts.vector(limits), forced.vector(limits)])
                taken_over.append(
                    _TakenOver(
                        owner=templates @ pictures[enrol:].T >= threshold,
                        other=templates @ left.T >= threshold,
                        to_enrolment=float(templates[0] @ templates[1]),
                    )
                )
    return IntrusionTrials(
        comparisons,
        matched,
        learned,
        owners=_shares([one.owner for one in taken_over]),
        others=_shares([one.other for one in taken_over]),
        least_to_enrolment=min((one.to_enrolment for one in taken_over), default=1.0),
    )


@dataclass(frozen=True, slots=True)
class _TakenOver:
    """Which pictures match before and after, ``(2, n)``, of the owner and of the other."""

    owner: np.ndarray
    other: np.ndarray
    to_enrolment: float


def _force(
    parts: TemplateParts, pictures: Embeddings, threshold: float, limits: TemplateUpdateThresholds
) -> tuple[TemplateParts, Embeddings]:
    """Learn of these whatever matches, until the places are full; and the pictures not learned."""
    left = []
    for probe in pictures:
        matches = probe @ parts.vector(limits) >= threshold
        if matches and len(parts.learned) < limits.most_learned:
            parts = parts.learned_from(probe, limits)
        else:
            left.append(probe)
    return parts, np.array(left, np.float32).reshape(-1, pictures.shape[1])


def _shares(pairs: list[np.ndarray]) -> tuple[float, float]:
    joined = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0))
    if not joined.shape[1]:
        return (0.0, 0.0)
    before, after = joined.mean(axis=1)
    return (float(before), float(after))


class _Pool:
    """Gathers the searches of many galleries."""

    def __init__(self) -> None:
        self._mated: list[np.ndarray] = []
        self._rivals: list[np.ndarray] = []
        self._non_mated: list[np.ndarray] = []

    def add(self, templates: Embeddings, probes: list[Embeddings], strangers: Embeddings) -> None:
        """``templates`` is ``(n, d)``, ``probes`` the pictures of each of the n people."""
        similarities = np.concatenate(probes) @ templates.T
        owners = np.repeat(np.arange(len(probes)), [len(rows) for rows in probes])
        rows = np.arange(len(owners))
        self._mated.append(similarities[rows, owners])
        similarities[rows, owners] = -1
        self._rivals.append(similarities.max(axis=1))
        self._non_mated.append((strangers @ templates.T).max(axis=1))

    def searches(self) -> Searches:
        return Searches(*map(np.concatenate, (self._mated, self._rivals, self._non_mated)))
