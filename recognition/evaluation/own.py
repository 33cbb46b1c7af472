"""The institution's own templates as labelled faces."""

from __future__ import annotations

import logging

import numpy as np

from recognition.engine.evaluation import Embeddings
from recognition.engine.open_set import People
from recognition.evaluation import identification
from recognition.evaluation.faces import Say
from recognition.evaluation.options import Figures, Options
from recognition.models import FaceTemplate
from recognition.sealing import TemplateUnreadableError
from recognition.selectors import templates_in_force

logger = logging.getLogger(__name__)

#: Pictures of each person that make the template; the others are probes. Most people have three.
ENROL = 2
SIZES = (1, 3, 10, 30, 100, 300, 1000)
DRAWS = 30
#: With fewer a threshold at FPIR 0.1 % is one stranger's or another's.
LEAST_PEOPLE = 40


class TooFewFacesError(ValueError):
    """Nothing can be measured yet; the text says what is missing."""


def own_people(*, model_id: str) -> People:
    """The pictures of each template in force, by the student's key, ``(pictures, d)``.

    Of a template whose single pictures were not kept there is one picture: itself. What none of
    the keys opens, and what holds NaN, is left out and logged.
    """
    people = {}
    for template in templates_in_force(model_id=model_id).order_by("pk").iterator():
        try:
            rows = _pictures_of(template)
        except TemplateUnreadableError as error:
            logger.error("template %s was left out of an evaluation: %s", template.pk, error)
            continue
        if not np.isfinite(rows).all() or not rows.any(axis=1).all():
            logger.error(
                "template %s was left out of an evaluation: it holds NaN or only zeros; ask the "
                "student to re-enrol",
                template.pk,
            )
            continue
        people[str(template.student_id)] = rows / np.linalg.norm(rows, axis=1)[:, None]
    return people


def _pictures_of(template: FaceTemplate) -> Embeddings:
    """Those of the enrolment only: what check-ins have added was found alike already."""
    return template.parts().enrolment


def measure_own(*, model_id: str, say: Say) -> list[Figures]:
    """The figures of every size of gallery that these people allow, smallest first.

    Raises:
        TooFewFacesError: too few people, or nobody with more pictures than make a template.
    """
    people = own_people(model_id=model_id)
    several = sum(len(rows) > ENROL for rows in people.values())
    if len(people) < LEAST_PEOPLE or several < 2:
        raise TooFewFacesError(
            f"got {len(people)} people with a template of {model_id}, {several} of them with more "
            f"than {ENROL} pictures kept; expected at least {LEAST_PEOPLE} and 2. Enrol more "
            "people, with three pictures each; pictures of earlier enrolments were not kept singly"
        )
    results = []
    sizes = [size for size in SIZES if size < len(people) // 2]
    for done, size in enumerate(sizes):
        say(f"gallery of {size} ({done + 1} of {len(sizes)})")
        options = Options(sizes=(size,), enrol=ENROL, draws=DRAWS)
        results.append(
            identification.figures_of(people, size=size, options=options, model_id=model_id)
        )
    return results
