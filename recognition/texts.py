"""What people are told about a picture of a face."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from recognition.engine.types import Problem

PROBLEM_TEXTS = {
    Problem.NO_FACE: _("No face was found. Look straight into the camera, with good light."),
    Problem.SEVERAL_FACES: _("More than one face was found. Only you may be in the picture."),
    Problem.TOO_SMALL: _("The face is too small. Come closer to the camera."),
    Problem.TOO_LARGE: _("The face is too close. Move back a little."),
    Problem.CUT_OFF: _("Part of the face is outside the picture. Keep it in the middle."),
    Problem.BLURRED: _("The picture is blurred. Hold still, and clean the lens."),
    Problem.TOO_DARK: _("The face is too dark. Turn towards the light."),
    Problem.TOO_BRIGHT: _("The face is too bright. Avoid direct light."),
    Problem.LOW_CONTRAST: _("The face has too little contrast. Find more even light."),
    Problem.TURNED: _("The face is turned away. Look straight into the camera."),
    Problem.TILTED: _("The head is tilted. Hold it upright."),
    Problem.EYES_CLOSED: _("The eyes are closed. Keep them open."),
    Problem.COVERED: _("Mouth and nose seem to be covered. Take off the mask or scarf."),
}

DOES_NOT_MATCH_OTHERS = _("This face does not look like the one on the other pictures.")
