"""Which models work together."""

from __future__ import annotations

from dataclasses import dataclass

from recognition.engine.models.catalogue import (
    DLIB_68,
    FASNET,
    HOG,
    KnownModel,
    Part,
    known_model,
)
from recognition.engine.models.dlib_default import EMBEDDED_MODEL_ID
from recognition.engine.types import EngineError


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """One name for each part, as the settings give them; travels to the workers.

    ``previous_embedder`` is the model that is being replaced, empty where none is.
    ``anti_spoofing``: whether the anti-spoofing model is loaded.

    Templates belong to the embedder alone: with another detector or landmarker they stay valid.
    On 676 pictures of LFW the embedding of the default model by MediaPipe's landmarks has a
    similarity of 0.999 (median) to that by dlib's, by YuNet's boxes of 0.9998, and FNMR at FMR
    0.1 % is 5.2 % with templates by dlib's landmarks and probes by MediaPipe's, 5.5 % with dlib's
    for both.
    """

    detector: str = HOG
    landmarker: str = DLIB_68
    embedder: str = EMBEDDED_MODEL_ID
    previous_embedder: str = ""
    anti_spoofing: bool = False

    def parts(self) -> tuple[KnownModel, ...]:
        """What is to be loaded. Raises ``EngineError`` with ``unknown_model`` or ``same_model``."""
        parts = [
            known_model(Part.DETECTOR, self.detector),
            known_model(Part.LANDMARKER, self.landmarker),
            known_model(Part.EMBEDDER, self.embedder),
        ]
        if self.previous_embedder == self.embedder:
            raise EngineError(
                "same_model",
                f"The model that is being replaced is the active one, {self.embedder!r}: "
                "name the model that the old templates are from, or none.",
            )
        if self.previous_embedder:
            parts.append(known_model(Part.EMBEDDER, self.previous_embedder))
        if self.anti_spoofing:
            parts.append(known_model(Part.ANTI_SPOOFING, FASNET))
        return tuple(parts)
