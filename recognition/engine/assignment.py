"""Whose faces are in one picture: everybody at most once, by the best answer as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recognition.engine.gallery import Decision, Gallery, Identification
from recognition.engine.types import Embedding


def assign(
    gallery: Gallery, embeddings: Sequence[Embedding], *, threshold: float, margin: float
) -> list[Identification]:
    """Give each face of one picture to at most one template, and each template to at most one.

    Of all such answers the one whose similarities exceed ``threshold`` by the largest sum is taken
    (the linear assignment problem: Kuhn 1955; solved as in Crouse 2016). So a person who stands in
    the picture takes the own face away from a neighbour who looks like them.

    A pair must lead by ``margin`` over whoever is left over: over the templates without a face for
    this face, and over the faces without a template for this template. Two who are both in the
    picture and might be exchanged are no reason for doubt: both are there.

    Returns one ``Identification`` for each embedding, ``(d,)`` float32 of unit length, in their
    order. ``runner_up`` is the strongest left over, the template's or the face's.
    """
    if not len(embeddings) or not len(gallery):
        return [_nobody(None, threshold, gallery) for _ in embeddings]
    # Takes as long to import as everything else of a server, and few pictures need it.
    from scipy.optimize import linear_sum_assignment

    similarities = np.stack(embeddings) @ gallery.matrix.T
    rows, columns = linear_sum_assignment(np.maximum(similarities - threshold, 0), maximize=True)
    pairs = {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if similarities[row, column] >= threshold
    }
    free_faces = np.setdiff1d(np.arange(len(embeddings)), list(pairs))
    free_templates = np.setdiff1d(np.arange(len(gallery)), list(pairs.values()))
    return [
        _matched(
            gallery,
            column=pairs[row],
            similarity=float(similarities[row, pairs[row]]),
            left_over=np.concatenate(
                [similarities[row, free_templates], similarities[free_faces, pairs[row]]]
            ),
            threshold=threshold,
            margin=margin,
        )
        if row in pairs
        else _nobody(float(similarities[row].max()), threshold, gallery)
        for row in range(len(embeddings))
    ]


def _matched(
    gallery: Gallery,
    *,
    column: int,
    similarity: float,
    left_over: np.ndarray,
    threshold: float,
    margin: float,
) -> Identification:
    runner_up = float(left_over.max()) if left_over.size else None
    leads = runner_up is None or similarity - runner_up >= margin
    return Identification(
        decision=Decision.MATCH if leads else Decision.AMBIGUOUS,
        template_id=gallery.ids[column] if leads else None,
        similarity=similarity,
        runner_up=runner_up,
        threshold=threshold,
        gallery_size=len(gallery),
    )


def _nobody(similarity: float | None, threshold: float, gallery: Gallery) -> Identification:
    return Identification(
        decision=Decision.UNKNOWN,
        template_id=None,
        similarity=similarity,
        runner_up=None,
        threshold=threshold,
        gallery_size=len(gallery),
    )
