"""Open-set identification on labelled faces: who is found, and how many strangers are let in.

Terms after ISO/IEC 19795-1: a *mated* probe shows somebody in the gallery, a *non-mated* one a
stranger. FPIR is the share of non-mated probes that are taken for somebody; FNIR the share of
mated probes that are not found, or found as somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recognition.engine.evaluation import Embeddings, Similarities, middle_95, threshold_passed_by
from recognition.engine.gallery import fuse, most_alike_mean
from recognition.engine.thresholds import COHORT, CohortThresholds

People = Mapping[str, Embeddings]
_Names = npt.NDArray[np.str_]
_NOBODY: _Names = np.empty(0, np.str_)


@dataclass(frozen=True, slots=True)
class Trials:
    """Searches of many probes, pooled over random galleries.

    ``mated``: similarity to the own template, ``(m,)``; ``rivals``: to the nearest other one,
    ``(m,)``; ``non_mated``: of strangers to the nearest template, ``(k,)``. ``mated_names`` and
    ``non_mated_names`` say whom the probes show; they are needed to draw people again.
    """

    mated: Similarities
    rivals: Similarities
    non_mated: Similarities
    gallery_size: int
    mated_names: _Names = field(default_factory=lambda: _NOBODY)
    non_mated_names: _Names = field(default_factory=lambda: _NOBODY)

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
        return threshold_passed_by(fpir, self.non_mated)

    def fpir_at(self, threshold: float) -> float:
        return float(np.mean(self.non_mated >= threshold))

    def fnir_at(self, threshold: float, margin: float = 0.0) -> float:
        """Share of mated probes not found at this threshold, with this lead over the rival."""
        return float(1 - np.mean(self._found(threshold, margin)))

    def curve(self, points: int = 80) -> list[tuple[float, float, float]]:
        """Threshold, FPIR and FNIR from lenient to strict, ``(2 * points, 3)``.

        The first half goes in equal steps of FPIR's logarithm down to one probe of all, the second
        in equal steps of the threshold on to where nobody is found.
        """
        shares = np.geomspace(1.0, 1 / len(self.non_mated), points)
        lenient = [self.threshold_at(float(share)) for share in shares]
        strictest = float(max(self.mated.max(), lenient[-1]))
        thresholds = [*lenient, *np.linspace(lenient[-1], strictest, points + 1)[1:].tolist()]
        return [(one, self.fpir_at(one), self.fnir_at(one)) for one in thresholds]

    def joined(self, other: Trials) -> Trials:
        """Both together, as if drawn from one."""
        return Trials(
            np.concatenate([self.mated, other.mated]),
            np.concatenate([self.rivals, other.rivals]),
            np.concatenate([self.non_mated, other.non_mated]),
            self.gallery_size,
            np.concatenate([self.mated_names, other.mated_names]),
            np.concatenate([self.non_mated_names, other.non_mated_names]),
        )

    def of(self, names: Iterable[str]) -> Trials:
        """Only the probes that show these people."""
        wanted = np.array(sorted(names), np.str_)
        mated, non_mated = (
            np.isin(self.mated_names, wanted),
            np.isin(self.non_mated_names, wanted),
        )
        return Trials(
            self.mated[mated],
            self.rivals[mated],
            self.non_mated[non_mated],
            self.gallery_size,
            self.mated_names[mated],
            self.non_mated_names[non_mated],
        )

    def resampled(
        self, *, fpirs: Sequence[float], times: int, seed: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Thresholds and FNIRs, each ``(times, len(fpirs))``, among people drawn again.

        People, not probes, are drawn with replacement: the probes of one person depend on each
        other, and so do those of one stranger.
        """
        random = np.random.default_rng(seed)
        everybody, index = np.unique(
            np.concatenate([self.mated_names, self.non_mated_names]), return_inverse=True
        )
        of_mated, of_strangers = np.split(index, [len(self.mated_names)])
        order = np.argsort(self.non_mated)[::-1]
        ranked, of_ranked = self.non_mated[order], of_strangers[order]
        correct = np.where(self.mated > self.rivals, self.mated, -np.inf)
        thresholds = np.empty((times, len(fpirs)))
        fnirs = np.empty((times, len(fpirs)))
        for row in range(times):
            drawn = random.integers(len(everybody), size=len(everybody))
            weights = np.bincount(drawn, minlength=len(everybody)).astype(np.float64)
            passed = np.cumsum(weights[of_ranked])
            first_refused = np.searchsorted(passed, np.array(fpirs) * passed[-1], side="right")
            at = ranked[np.minimum(first_refused, len(ranked) - 1)]
            thresholds[row] = np.nextafter(at, np.float32(2))
            mated_weights = weights[of_mated]
            refused = correct[:, None] < thresholds[row]
            fnirs[row] = mated_weights @ refused / max(mated_weights.sum(), 1)
        return thresholds, fnirs

    def _found(self, threshold: float, margin: float) -> npt.NDArray[np.bool_]:
        return (self.mated >= threshold) & (self.mated - self.rivals > margin)


@dataclass(frozen=True, slots=True)
class Shown:
    """One probe or template: whose, and which of that person's pictures, ``(n,)``."""

    name: str
    pictures: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Draw:
    """One random gallery and everything that is searched in it. ``owners``: rows of the mated."""

    enrolled: list[Shown]
    mated: list[Shown]
    owners: npt.NDArray[np.intp]
    non_mated: list[Shown]


#: The similarity of each probe to each template: ``(m, n)`` of the mated and ``(k, n)``.
Scorer = Callable[[Draw], tuple[Similarities, Similarities]]


def draw_galleries(
    counts: Mapping[str, int],
    *,
    gallery_size: int,
    enrol: int,
    draws: int,
    seed: int,
    frames: int = 1,
) -> Iterator[Draw]:
    """Random galleries of people, of whom ``counts`` says how many pictures there are.

    Args:
        gallery_size: people in the gallery. Those with enough pictures come first; where they do
            not suffice, others fill up, enrolled from what they have.
        enrol: pictures fused into a template, drawn anew each time.
        frames: pictures fused into a probe. With one, each picture that is left is a probe, and so
            is every picture of everybody outside. With more, who has enough left gives one mated
            probe, half of those who have enough stay outside, and of each as many sets are drawn as
            there are pictures.

    Raises:
        ValueError: there are too few people, or nobody is left to be a stranger.
    """
    candidates = [name for name, count in counts.items() if count >= enrol + frames]
    fillers = [name for name, count in counts.items() if 0 < count < enrol + frames]
    if not candidates or gallery_size >= len(candidates) + len(fillers):
        raise ValueError(
            f"got {len(candidates)} people with {enrol + frames} pictures or more and "
            f"{len(fillers)} others, expected at least one of the first kind and more than "
            f"{gallery_size} in all: a gallery of that size and strangers to it; choose a smaller "
            "gallery, or enrol fewer pictures"
        )
    random = np.random.default_rng(seed)
    for _draw in range(draws):
        first, others = random.permutation(candidates), random.permutation(fillers)
        most = len(first) if frames == 1 else max(1, len(first) // 2)
        inside = [*first[:most], *others][:gallery_size]
        # With more frames there may be too few others; then strangers become scarce.
        inside += list(first[most:][: gallery_size - len(inside)])
        yield _drawn(random, counts, inside, enrol=enrol, frames=frames)


def _drawn(
    random: np.random.Generator,
    counts: Mapping[str, int],
    inside: Sequence[str],
    *,
    enrol: int,
    frames: int,
) -> Draw:
    enrolled, mated, owners = [], [], []
    for row, name in enumerate(inside):
        pictures = random.permutation(counts[name])
        enrolled.append(Shown(name, pictures[:enrol]))
        left = pictures[enrol:]
        groups = [left[i : i + 1] for i in range(len(left))] if frames == 1 else [left[:frames]]
        probes = [Shown(name, group) for group in groups if len(group) == frames]
        mated += probes
        owners += [row] * len(probes)
    known = set(inside)
    non_mated = [
        Shown(name, np.array([one]) if frames == 1 else random.permutation(count)[:frames])
        for name, count in counts.items()
        if name not in known and count >= frames
        for one in range(count)
    ]
    return Draw(enrolled, mated, np.array(owners, np.intp), non_mated)


def search(draws: Iterable[Draw], score: Scorer) -> Trials:
    """Search every probe of every draw.

    Raises:
        ValueError: nobody is left outside who has enough pictures for a probe.
    """
    pooled: list[Trials] = []
    for draw in draws:
        if not draw.mated or not draw.non_mated:
            raise ValueError(
                f"got {len(draw.mated)} mated and {len(draw.non_mated)} non-mated probes, expected "
                "some of both: nobody has pictures enough left; choose a smaller gallery, or fuse "
                "fewer pictures"
            )
        mated, non_mated = score(draw)
        rows = np.arange(len(draw.owners))
        own = mated[rows, draw.owners]
        rivals = mated.copy()
        rivals[rows, draw.owners] = -1
        pooled.append(
            Trials(
                own,
                rivals.max(axis=1),
                non_mated.max(axis=1),
                len(draw.enrolled),
                np.array([shown.name for shown in draw.mated]),
                np.array([shown.name for shown in draw.non_mated]),
            )
        )
    return _pooled(pooled)


def _pooled(trials: Sequence[Trials]) -> Trials:
    return Trials(
        np.concatenate([one.mated for one in trials]),
        np.concatenate([one.rivals for one in trials]),
        np.concatenate([one.non_mated for one in trials]),
        trials[0].gallery_size,
        np.concatenate([one.mated_names for one in trials]),
        np.concatenate([one.non_mated_names for one in trials]),
    )


def open_set_trials(
    people: People, *, gallery_size: int, enrol: int, draws: int, seed: int
) -> Trials:
    """Search every probe in ``draws`` random galleries by cosine; see `draw_galleries`.

    ``people``: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
    """
    counts = {name: len(rows) for name, rows in people.items()}
    drawn = draw_galleries(counts, gallery_size=gallery_size, enrol=enrol, draws=draws, seed=seed)
    return search(drawn, by_cosine(people))


# How probes and templates are compared


def by_cosine(
    people: People, cohort: Embeddings | None = None, limits: CohortThresholds = COHORT
) -> Scorer:
    """Cosine of fused probes to fused templates; beside a cohort, ``(c, d)``, less its share.

    As at the door: `Cohort.similarity` and `IdentificationThresholds.similarity_beside`.
    """

    def compared(probes: Embeddings, templates: Embeddings) -> Similarities:
        similarities = probes @ templates.T
        if cohort is None:
            return similarities
        beside = most_alike_mean(probes @ cohort.T, limits.share)
        return np.asarray(similarities - limits.weight * beside[:, None], np.float32)

    def score(draw: Draw) -> tuple[Similarities, Similarities]:
        templates = fused(people, draw.enrolled)
        return (
            compared(fused(people, draw.mated), templates),
            compared(fused(people, draw.non_mated), templates),
        )

    return score


def fused(
    people: People, shown: Sequence[Shown], weights: Mapping[str, Similarities] | None = None
) -> Embeddings:
    """The fused embedding of each, ``(n, d)``, of unit length; ``weights`` one for each picture."""
    return np.stack(
        [
            fuse(
                list(people[one.name][one.pictures]),
                None if weights is None else list(weights[one.name][one.pictures]),
            )
            for one in shown
        ]
    )


def templates_of(people: People, *, enrol: int) -> Embeddings:
    """One template of everybody, ``(n, d)``, from the first ``enrol`` pictures: a cohort."""
    return np.stack([fuse(list(rows[:enrol])) for rows in people.values() if len(rows)])


# Disjoint people


def halves_of(people: People, *, enrol: int, seed: int) -> tuple[People, People]:
    """The people in two halves that share nobody, those with more pictures than that shared out."""
    random = np.random.default_rng(seed)
    many = [name for name, rows in people.items() if len(rows) > enrol]
    few = [name for name, rows in people.items() if len(rows) <= enrol]
    order = [*random.permutation(many), *random.permutation(few)]
    return (
        {name: people[name] for name in order[::2]},
        {name: people[name] for name in order[1::2]},
    )


@dataclass(frozen=True, slots=True)
class Point:
    """What one threshold does. ``threshold`` was chosen on everybody, for ``target_fpir``.

    ``fpir`` and ``fnir`` are of people who had no part in choosing: of each half at the threshold
    of the other. The intervals hold the middle 95 % among people drawn again.
    """

    target_fpir: float
    threshold: float
    threshold_interval: tuple[float, float]
    fnir: float
    fnir_interval: tuple[float, float]
    fpir: float


@dataclass(frozen=True, slots=True)
class TwoHalves:
    """Trials of two halves of the people, each searched only among itself."""

    first: Trials
    second: Trials

    @property
    def together(self) -> Trials:
        return self.first.joined(self.second)

    def points(self, fpirs: Sequence[float], *, times: int, seed: int) -> list[Point]:
        together = self.together
        thresholds, fnirs = together.resampled(fpirs=fpirs, times=times, seed=seed)
        return [
            Point(
                target_fpir=fpir,
                threshold=together.threshold_at(fpir),
                threshold_interval=middle_95(thresholds[:, column]),
                fnir=self._of_the_other(fpir, Trials.fnir_at, lambda one: len(one.mated)),
                fnir_interval=middle_95(fnirs[:, column]),
                fpir=self._of_the_other(fpir, Trials.fpir_at, lambda one: len(one.non_mated)),
            )
            for column, fpir in enumerate(fpirs)
        ]

    def _of_the_other(
        self,
        fpir: float,
        share_at: Callable[[Trials, float], float],
        count: Callable[[Trials], int],
    ) -> float:
        pairs = ((self.first, self.second), (self.second, self.first))
        shares = [share_at(tried, chosen.threshold_at(fpir)) for chosen, tried in pairs]
        return float(np.average(shares, weights=[count(tried) for _chosen, tried in pairs]))
