"""Verification and the search for double accounts, on labelled faces.

Terms after ISO/IEC 19795-1: FMR is the share of comparisons of a template with another person that
match; FNMR the share of those with its owner that do not. Identification is in `open_set`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.gallery import fuse

Embeddings = npt.NDArray[np.float32]
Similarities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DoubleTrials:
    """Accounts compared with each other, pooled over random choices of people and pictures.

    ``doubles``: similarity of a person's second account to the first, ``(m,)``; ``singles``: of an
    account without a double to the most similar one of the others, ``(k,)``.
    """

    doubles: Similarities
    singles: Similarities
    accounts: int

    def found_at(self, threshold: float) -> float:
        """Share of double accounts that are flagged."""
        return float(np.mean(self.doubles >= threshold))

    def falsely_flagged_at(self, threshold: float) -> float:
        """Share of accounts flagged although they have no double."""
        return float(np.mean(self.singles >= threshold))

    def threshold_at(self, falsely_flagged: float) -> float:
        """The least similarity at which at most this share is falsely flagged."""
        return threshold_passed_by(falsely_flagged, self.singles)


@dataclass(frozen=True, slots=True)
class VerificationTrials:
    """Templates compared with one probe at a time, pooled over random choices of pictures.

    ``mated``: similarity of a probe to the own template, ``(m,)``; ``non_mated``: to somebody
    else's, ``(k,)``, the most alike first. People are numbered from 0 to ``people - 1``:
    ``mated_owners``, ``(m,)``, tells whose template it was, ``owners`` and ``probers``, ``(k,)``,
    whose template met whose probe.
    """

    mated: Similarities
    mated_owners: npt.NDArray[np.int16]
    non_mated: Similarities
    owners: npt.NDArray[np.int16]
    probers: npt.NDArray[np.int16]
    people: int

    def threshold_at(self, fmr: float) -> float:
        """The least similarity at which at most this share of the others is taken for the owner."""
        return threshold_passed_by(fmr, self.non_mated)

    def fmr_at(self, threshold: float) -> float:
        return float(np.mean(self.non_mated >= threshold))

    def fnmr_at(self, threshold: float) -> float:
        """Share of owners who are refused."""
        return float(np.mean(self.mated < threshold))

    def resampled(self, *, fmrs: Sequence[float], times: int, seed: int) -> Resamples:
        """The operating points found again among people drawn with replacement, ``times`` times.

        People, not comparisons, are drawn: those of one person depend on each other.
        """
        random = np.random.default_rng(seed)
        thresholds = np.empty((times, len(fmrs)))
        fnmrs = np.empty((times, len(fmrs)))
        for row in range(times):
            drawn = random.integers(self.people, size=self.people)
            weights = np.bincount(drawn, minlength=self.people).astype(np.float64)
            thresholds[row] = self._thresholds_of(weights, fmrs)
            mated_weights = weights[self.mated_owners]
            refused = self.mated[:, None] < thresholds[row]
            fnmrs[row] = mated_weights @ refused / max(mated_weights.sum(), 1)
        return Resamples(thresholds, fnmrs)

    def _thresholds_of(
        self, weights: npt.NDArray[np.float64], fmrs: Sequence[float]
    ) -> npt.NDArray[np.float64]:
        passed = np.cumsum(weights[self.owners] * weights[self.probers])
        first_refused = np.searchsorted(passed, np.array(fmrs) * passed[-1], side="right")
        last = len(self.non_mated) - 1
        return np.nextafter(self.non_mated[np.minimum(first_refused, last)], np.float32(2))


@dataclass(frozen=True, slots=True)
class Resamples:
    """Thresholds and FNMRs, ``(times, operating points)``, among people drawn again."""

    thresholds: npt.NDArray[np.float64]
    fnmrs: npt.NDArray[np.float64]

    def fnmr_interval(self, point: int) -> tuple[float, float]:
        """Where 95 % of the FNMRs at this operating point lie."""
        return middle_95(self.fnmrs[:, point])

    def threshold_interval(self, point: int) -> tuple[float, float]:
        return middle_95(self.thresholds[:, point])


def verification_trials(
    people: Mapping[str, Embeddings], *, enrol: int, draws: int, seed: int
) -> VerificationTrials:
    """Compare each template with its owner's other pictures and with all of everybody else.

    Args:
        people: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
        enrol: pictures fused into a template, drawn anew each time. Who has no more than these
            has no template, and only shows up as somebody else.

    Raises:
        ValueError: nobody has enough pictures, or there is nobody else.
    """
    names = list(people)
    enrolled = [number for number, name in enumerate(names) if len(people[name]) > enrol]
    if not enrolled or len(names) < 2:
        raise ValueError(
            f"got {len(enrolled)} people with more than {enrol} pictures of {len(names)} in all, "
            "expected at least one of them and somebody else; enrol fewer pictures"
        )
    random = np.random.default_rng(seed)
    probes = np.concatenate([people[name] for name in names])
    probers = np.repeat(np.arange(len(names)), [len(people[name]) for name in names])
    mated, mated_owners, non_mated = [], [], []
    for _draw in range(draws):
        for owner in enrolled:
            pictures = random.permutation(people[names[owner]])
            template = fuse(list(pictures[:enrol]))
            mated.append(pictures[enrol:] @ template)
            mated_owners.append(np.full(len(pictures) - enrol, owner))
            non_mated.append((probes @ template)[probers != owner])
    others = [probers[probers != owner] for owner in enrolled] * draws
    owners = np.repeat(np.array(enrolled * draws), [len(rows) for rows in others])
    similarities = np.concatenate(non_mated)
    order = np.argsort(similarities)[::-1]
    return VerificationTrials(
        mated=np.concatenate(mated),
        mated_owners=np.concatenate(mated_owners).astype(np.int16),
        non_mated=similarities[order],
        owners=owners[order].astype(np.int16),
        probers=np.concatenate(others)[order].astype(np.int16),
        people=len(names),
    )


def double_trials(
    people: Mapping[str, Embeddings], *, accounts: int, enrol: int, draws: int, seed: int
) -> DoubleTrials:
    """Compare every account with all others, ``draws`` times.

    Args:
        people: the embeddings of each person's pictures, ``(pictures, d)``, of unit length.
        accounts: one person each. Those with ``enrol`` pictures come first and count as singles;
            where they do not suffice, others fill up, enrolled from what they have.
        enrol: pictures fused into an account's template, drawn anew each time. Whoever has twice as
            many gets a second account from other pictures, which is compared with the first.

    Raises:
        ValueError: there are too few people, or nobody has enough pictures for two accounts.
    """
    full = [name for name, rows in people.items() if len(rows) >= enrol]
    fillers = [name for name, rows in people.items() if 0 < len(rows) < enrol]
    if not 1 < accounts <= len(full) + len(fillers) or not any(
        len(people[name]) >= 2 * enrol for name in full
    ):
        raise ValueError(
            f"got {len(full)} people with {enrol} pictures or more and {len(fillers)} others, "
            f"expected at least {max(accounts, 2)} in all and somebody with {2 * enrol} pictures, "
            "enough for two accounts; choose fewer accounts or pictures"
        )
    random = np.random.default_rng(seed)
    doubles: list[float] = []
    singles: list[Similarities] = []
    for _draw in range(draws):
        order = [*random.permutation(full), *random.permutation(fillers)][:accounts]
        pictures = [random.permutation(people[name]) for name in order]
        templates = np.stack([fuse(list(rows[:enrol])) for rows in pictures])
        doubles.extend(
            float(fuse(list(rows[enrol : 2 * enrol])) @ template)
            for rows, template in zip(pictures, templates, strict=True)
            if len(rows) >= 2 * enrol
        )
        similarities = templates @ templates.T
        np.fill_diagonal(similarities, -1)
        singles.append(similarities[: len(full)].max(axis=1))
    return DoubleTrials(np.array(doubles, np.float32), np.concatenate(singles), accounts)


def middle_95(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Where the middle 95 % of the values lie."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def threshold_passed_by(share: float, similarities: Similarities) -> float:
    """The least similarity that at most this share of the similarities reaches."""
    allowed = int(share * len(similarities))
    ranked = np.sort(similarities)[::-1]
    if allowed >= len(ranked):
        return -1.0
    return float(np.nextafter(ranked[allowed], np.float32(2)))
