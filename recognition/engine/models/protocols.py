"""What the rest of the engine expects of a detector, a landmarker and an embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from recognition.engine.types import Box, Embedding, Image, Points

LANDMARKS = 68


@dataclass(frozen=True, slots=True)
class Detection:
    """One found face; ``confidence`` has the detector's own scale, more is surer.

    The box is square and reaches from the brows to the chin, as that of dlib's HOG detector does:
    landmarkers and thresholds are made for such boxes.
    """

    box: Box
    confidence: float


class Detector(Protocol):
    """Finds faces at least ``smallest_face_px`` high in the image it is given.

    A face counts from ``confidence_to_find``, already from ``confidence_to_follow`` where one was
    in the last frame, and only from ``confidence_beside_larger`` beside a larger and surer one.
    """

    @property
    def smallest_face_px(self) -> int: ...

    @property
    def confidence_to_find(self) -> float: ...

    @property
    def confidence_to_follow(self) -> float: ...

    @property
    def confidence_beside_larger(self) -> float: ...

    def detect(self, image: Image) -> list[Detection]:
        """Every face; ``(h, w, 3)`` RGB or ``(h, w)`` grey, uint8. Boxes may cross the edges."""
        ...

    def detect_main(self, image: Image) -> list[Detection]:
        """As ``detect``, but faster: beside a face that looks at the camera, others that look
        aside may be left out.
        """
        ...


class Landmarker(Protocol):
    def landmarks(self, image: Image, box: Box) -> Points:
        """``(68, 2)`` float32 in iBUG 300-W order; ``(h, w, 3)`` uint8 RGB and a face's box in."""
        ...


class Embedder(Protocol):
    @property
    def model_id(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, image: Image, landmarks: Points) -> Embedding:
        """``(dimensions,)`` float32 of unit length; ``(h, w, 3)`` uint8 RGB in."""
        ...


class SpoofModel(Protocol):
    def live_confidence(self, frame: Image, box: Box) -> float:
        """How sure the model is that a face is live, 0 to 1; ``(h, w, 3)`` uint8 RGB in."""
        ...


@dataclass(frozen=True, slots=True)
class FaceModels:
    """What works together in one worker. Templates belong to ``embedder.model_id``.

    ``previous_embedder`` makes the embeddings of the model that is being replaced, where two serve
    side by side. ``anti_spoofing`` is None where it is off.
    """

    detector: Detector
    landmarker: Landmarker
    embedder: Embedder
    previous_embedder: Embedder | None = None
    anti_spoofing: SpoofModel | None = None
