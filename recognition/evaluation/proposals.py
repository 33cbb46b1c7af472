"""Thresholds that a measurement proposes, and those that somebody put in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from recognition.engine.thresholds import Curve, IdentificationThresholds
from recognition.evaluation.identification import rates_in_force
from recognition.evaluation.options import Figures
from recognition.models import GalleryEvaluation, IdentificationSetting

#: One stranger in a thousand is taken for somebody of the class.
TARGET_FPIR = 0.001
#: A second look is asked of who would be found if so many strangers were let in.
UNCERTAIN_FPIR = 0.01


class ThresholdsRefusedError(Exception):
    """Nothing was changed; the text is for the person who asked for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a proposal changes in a gallery of that many. ``now`` is None where nothing serves."""

    gallery_size: int
    threshold: float
    interval: tuple[float, float]
    beside_cohort: bool
    fnir: float
    fnir_interval: tuple[float, float]
    fpir: float
    now: Figures | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Thresholds at the target FPIR, and what they change."""

    thresholds: IdentificationThresholds
    target_fpir: float
    changes: list[Change]


def proposal_from(results: Sequence[Figures], *, target_fpir: float = TARGET_FPIR) -> Proposal:
    """The thresholds that these figures, smallest gallery first, propose.

    Band and margin reach from the threshold down to where `UNCERTAIN_FPIR` of the strangers pass,
    the median of all sizes: so they have the scale of whatever model it is. A larger gallery never
    gets a lower threshold.

    Raises:
        ValueError: there are no figures.
    """
    if not results:
        raise ValueError("got no figures, expected those of one size of gallery at least")
    used = [result["beside_cohort"] or result["alone"] for result in results]
    band = median(
        _at(points, target_fpir)["threshold"] - _at(points, UNCERTAIN_FPIR)["threshold"]
        for points in used
    )
    with_cohort = [result for result in results if result["beside_cohort"]]
    thresholds = IdentificationThresholds(
        similarity_at_size=_curve(results, "alone", target_fpir),
        above_cohort_at_size=_curve(with_cohort, "beside_cohort", target_fpir),
        margin=round(band, 4),
        band=round(band, 4),
    )
    changes = [
        _change(result, _at(points, target_fpir))
        for result, points in zip(results, used, strict=True)
    ]
    return Proposal(thresholds, target_fpir, changes)


def _at(points: Sequence[Figures], fpir: float) -> Figures:
    return next(point for point in points if point["target_fpir"] == fpir)


def _curve(results: Sequence[Figures], kind: str, target_fpir: float) -> Curve:
    measured = [_at(result[kind], target_fpir)["threshold"] for result in results]
    rising = accumulate(measured, max)
    sizes = [result["gallery_size"] for result in results]
    return tuple((size, round(one, 4)) for size, one in zip(sizes, rising, strict=True))


def _change(result: Figures, point: Figures) -> Change:
    return Change(
        gallery_size=result["gallery_size"],
        threshold=point["threshold"],
        interval=tuple(point["threshold_interval"]),
        beside_cohort=bool(result["beside_cohort"]),
        fnir=point["fnir"],
        fnir_interval=tuple(point["fnir_interval"]),
        fpir=point["fpir"],
        now=rates_in_force(result),
    )


@transaction.atomic
def apply_evaluation(
    evaluation: GalleryEvaluation, *, by: User, reason: str
) -> IdentificationSetting:
    """Put what an evaluation proposes in force for its model.

    Raises:
        ThresholdsRefusedError: it is not finished, or no reason was given.
    """
    if evaluation.status != GalleryEvaluation.Status.DONE:
        raise ThresholdsRefusedError(_("This measurement is not finished. Wait, or start another."))
    return _apply(
        proposal_from(evaluation.figures["results"]),
        model_id=evaluation.model_id,
        evaluation=evaluation,
        by=by,
        reason=reason,
    )


@transaction.atomic
def apply_measured(
    results: Sequence[Figures], *, model_id: str, reason: str, by: User | None
) -> IdentificationSetting:
    """Put what was measured on a folder of faces in force; see `apply_evaluation`."""
    return _apply(proposal_from(results), model_id=model_id, evaluation=None, by=by, reason=reason)


@transaction.atomic
def apply_again(setting: IdentificationSetting, *, by: User, reason: str) -> IdentificationSetting:
    """Bring earlier thresholds back: one more row, so that the history stays whole.

    Raises:
        ThresholdsRefusedError: no reason was given.
    """
    return IdentificationSetting.objects.create(
        model_id=setting.model_id,
        similarity_at_size=setting.similarity_at_size,
        above_cohort_at_size=setting.above_cohort_at_size,
        margin=setting.margin,
        band=setting.band,
        target_fpir=setting.target_fpir,
        evaluation=setting.evaluation,
        applied_by=by,
        reason=_given(reason),
    )


def _apply(
    proposal: Proposal,
    *,
    model_id: str,
    evaluation: GalleryEvaluation | None,
    by: User | None,
    reason: str,
) -> IdentificationSetting:
    limits = proposal.thresholds
    return IdentificationSetting.objects.create(
        model_id=model_id,
        similarity_at_size=limits.similarity_at_size,
        above_cohort_at_size=limits.above_cohort_at_size,
        margin=limits.margin,
        band=limits.band,
        target_fpir=proposal.target_fpir,
        evaluation=evaluation,
        applied_by=by,
        reason=_given(reason),
    )


def _given(reason: str) -> str:
    stripped = reason.strip()
    most: Any = IdentificationSetting._meta.get_field("reason").max_length
    if not stripped or len(stripped) > most:
        raise ThresholdsRefusedError(
            _("Say why in at most %(most)d letters: others read it in the history.")
            % {"most": most}
        )
    return stripped
