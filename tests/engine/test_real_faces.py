"""What holds on pictures of many real people; the figures come from all 1203 of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.images import decode_photo
from recognition.engine.types import FrameAnalysis, Problem
from tests.support.shared import lfw_pictures, needs_faces

PEOPLE = 25
PICTURES_EACH = 4
TRUE_CAUSES = {Problem.SEVERAL_FACES, Problem.TURNED}

Analyses = dict[str, list[FrameAnalysis]]


@pytest.fixture(scope="module")
def analyses(analyser: Analyser) -> Analyses:
    def analyse(path: Path) -> FrameAnalysis:
        return analyser.analyse_photo(decode_photo(path.read_bytes()))

    several = {name: paths for name, paths in lfw_pictures().items() if len(paths) > 1}
    assert len(several) >= PEOPLE
    return {
        name: [analyse(path) for path in several[name][:PICTURES_EACH]]
        for name in sorted(several)[:PEOPLE]
    }


@needs_faces
def test_faces_are_found_and_ordinary_pictures_are_not_refused(analyses: Analyses) -> None:
    every = [analysis for of_one in analyses.values() for analysis in of_one]
    found = [analysis.main_face for analysis in every if analysis.main_face]
    refused = [face for face in found if set(face.quality.problems) - TRUE_CAUSES]

    assert len(found) >= 0.99 * len(every)
    assert len(refused) <= 0.03 * len(found)


@needs_faces
def test_pictures_of_one_person_are_more_alike_than_of_two(analyses: Analyses) -> None:
    embeddings, names = [], []
    for name, of_one in analyses.items():
        for analysis in of_one:
            if analysis.main_face is not None and analysis.main_face.embedding is not None:
                embeddings.append(analysis.main_face.embedding)
                names.append(name)
    similarities = np.array(embeddings) @ np.array(embeddings).T
    same = np.equal.outer(names, names)
    others = ~np.eye(len(names), dtype=bool)

    assert len(names) >= 0.8 * PEOPLE * PICTURES_EACH
    assert np.median(similarities[same & others]) > np.quantile(similarities[~same], 0.999)
