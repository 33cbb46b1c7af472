"""Who is who in one picture, with similarities written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.engine.assignment import assign
from recognition.engine.gallery import Decision, Gallery, Identification

ANN, BOB, CYD = 7, 8, 9


def matches(
    similarities: list[list[float]], *, threshold: float = 0.9, margin: float = 0.01
) -> list[Identification]:
    """One row for each face, one column for each of Ann, Bob and Cyd: templates are unit axes."""
    faces = [np.array(row, np.float32) for row in similarities]
    people = len(similarities[0])
    gallery = Gallery((ANN, BOB, CYD)[:people], np.eye(people, dtype=np.float32), "by-hand")
    return assign(gallery, faces, threshold=threshold, margin=margin)


def named(found: list[Identification]) -> list[int | None]:
    return [match.template_id for match in found]


def test_a_neighbour_who_looks_alike_is_not_named_twice():
    """Alone, both faces would be Ann's; together, the second is Bob's."""
    assert named(matches([[0.99, 0.91], [0.96, 0.95]])) == [ANN, BOB]


def test_the_best_answer_as_a_whole_counts_and_not_the_best_pair():
    """0.97 + 0.95 is more than 0.98 + 0.91."""
    assert named(matches([[0.98, 0.97], [0.95, 0.91]])) == [BOB, ANN]


def test_a_face_below_the_threshold_stays_unknown():
    found = matches([[0.95, 0.1], [0.2, 0.89]])

    assert named(found) == [ANN, None]
    assert found[1].decision is Decision.UNKNOWN
    assert found[1].similarity == pytest.approx(0.89)


def test_more_faces_than_students():
    found = matches([[0.95], [0.3], [0.92]])

    assert named(found) == [ANN, None, None]


def test_two_students_too_close_for_one_face():
    (found,) = matches([[0.950, 0.945, 0.1]])

    assert found.decision is Decision.AMBIGUOUS
    assert found.template_id is None
    assert found.runner_up == pytest.approx(0.945)


def test_two_faces_too_close_for_one_student():
    first, second = matches([[0.950], [0.945]])

    assert first.decision is Decision.AMBIGUOUS
    assert second.decision is Decision.UNKNOWN


def test_twins_who_are_both_there_are_no_reason_for_doubt():
    assert sorted(filter(None, named(matches([[0.960, 0.958], [0.957, 0.959]])))) == [ANN, BOB]


def test_a_picture_without_faces_and_a_class_without_templates():
    nobody = Gallery((), np.empty((0, 2), np.float32), "by-hand")

    assert assign(nobody, [], threshold=0.9, margin=0) == []
    (found,) = assign(nobody, [np.array([1, 0], np.float32)], threshold=0.9, margin=0)
    assert (found.decision, found.similarity) == (Decision.UNKNOWN, None)
