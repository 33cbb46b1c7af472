"""A template that learns slowly from confident check-ins, and never goes far from its enrolment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.engine.gallery import fuse, unit_length
from recognition.engine.thresholds import TEMPLATE_UPDATES, TemplateUpdateThresholds
from recognition.engine.types import Embedding

#: Embeddings of one person, ``(n, d)`` float32 with rows of unit length.
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TemplateParts:
    """The single embeddings that a template is made of.

    ``enrolment``, ``(k, d)`` with k from 1, are those of the pictures that a person approved;
    ``learned``, ``(m, d)``, those of check-ins, the oldest first. The first never change.
    """

    enrolment: Rows
    learned: Rows

    def __post_init__(self) -> None:
        shapes = self.enrolment.shape, self.learned.shape
        if not (self.enrolment.ndim == self.learned.ndim == 2 and len(self.enrolment)) or (
            self.enrolment.shape[1] != self.learned.shape[1]
        ):
            raise ValueError(f"got the shapes {shapes}, expected (k, d) with k from 1, and (m, d)")

    @classmethod
    def of_enrolment(cls, rows: Rows) -> TemplateParts:
        """Before anything was learned; ``rows`` is ``(k, d)``."""
        rows = np.asarray(rows, np.float32)
        return cls(rows, np.empty((0, rows.shape[-1]), np.float32))

    def vector(self, limits: TemplateUpdateThresholds = TEMPLATE_UPDATES) -> Embedding:
        """The template, ``(d,)`` of unit length: more of the enrolment than of all check-ins.

        Each check-in weighs the same share, so that one alone moves it a little only.

        >>> parts = TemplateParts(np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32))
        >>> limits = TemplateUpdateThresholds(most_learned=1, learned_share=0.2)
        >>> [round(float(number), 2) for number in parts.vector(limits)]
        [0.97, 0.24]
        """
        enrolled = fuse(list(self.enrolment))
        if not len(self.learned):
            return enrolled
        share = limits.learned_share * len(self.learned) / limits.most_learned
        return unit_length((1 - share) * enrolled + share * fuse(list(self.learned)))

    def may_learn(
        self,
        probe: Embedding,
        *,
        runner_up: float | None,
        limits: TemplateUpdateThresholds = TEMPLATE_UPDATES,
    ) -> bool:
        """Whether a probe, ``(d,)`` of unit length, is surely of the person who enrolled.

        It is compared with the enrolment as well: what was learned vouches for nothing, so no chain
        of faces leads step by step to another person. ``runner_up`` is the similarity to the
        nearest other template; None in a gallery of one.
        """
        to_enrolment = float(fuse(list(self.enrolment)) @ probe)
        similarity = min(to_enrolment, float(self.vector(limits) @ probe))
        lead = np.inf if runner_up is None else similarity - runner_up
        return similarity >= limits.similarity and bool(lead >= limits.margin)

    def learned_from(
        self, probe: Embedding, limits: TemplateUpdateThresholds = TEMPLATE_UPDATES
    ) -> TemplateParts:
        """With one more check-in; the oldest goes where there are enough."""
        learned = np.concatenate([self.learned, np.asarray(probe, np.float32)[None]])
        return TemplateParts(self.enrolment, learned[-limits.most_learned :])

    def as_enrolled(self) -> TemplateParts:
        """Without whatever was learned."""
        return TemplateParts.of_enrolment(self.enrolment)
