"""JPEG bytes or a photo in, everything the engine knows about its faces out; keeps no state."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from recognition.engine import quality
from recognition.engine.codes import read_code
from recognition.engine.geometry import eye_aspect_ratios, head_pose
from recognition.engine.images import decode_frame, decode_glance, jpeg_size
from recognition.engine.liveness.cues import measure_cues
from recognition.engine.models import Detection, FaceModels
from recognition.engine.portrait import portrait_jpeg
from recognition.engine.stillness import is_still
from recognition.engine.thresholds import (
    DETECTION,
    KIOSK_QUALITY,
    PHOTO_QUALITY,
    DetectionThresholds,
    QualityThresholds,
)
from recognition.engine.types import (
    Box,
    Face,
    FrameAnalysis,
    FrameRequest,
    Image,
    PortraitAnalysis,
    Problem,
)

#: A face of the whole frame that covers so much of the last one's place needs no search there.
SAME_PLACE = 0.5


class Analyser:
    """One per worker process; no method changes it."""

    def __init__(
        self,
        models: FaceModels,
        *,
        detection: DetectionThresholds = DETECTION,
        kiosk_quality: QualityThresholds = KIOSK_QUALITY,
        photo_quality: QualityThresholds = PHOTO_QUALITY,
    ) -> None:
        self.models = models
        self._detection = detection
        self._kiosk_quality = kiosk_quality
        self._photo_quality = photo_quality

    def analyse_frame(self, jpeg: bytes, request: FrameRequest) -> FrameAnalysis:
        """Decode a kiosk frame and find in it what ``request`` asks for.

        Raises ``EngineError`` as ``decode_frame`` does.
        """
        started = time.perf_counter()
        if request.unless_like is not None and is_still(decode_glance(jpeg), request.unless_like):
            return _nothing_new(jpeg, request, started)
        frame = decode_frame(jpeg)
        faces = self.faces_in(frame, self.search_frame(frame, request), self._kiosk_quality)
        if faces and (request.embed or faces[0].ear < request.embed_if_ear_below):
            faces[0] = self.with_embedding(frame, faces[0])
        code = read_code(frame) if request.read_code else None
        cues = (
            measure_cues(frame, faces[0], screen=request.screen_cues)
            if request.cues and faces
            else None
        )
        confidence = (
            self.models.anti_spoofing.live_confidence(frame, faces[0].box)
            if request.spoof_model and faces and self.models.anti_spoofing
            else None
        )
        return replace(
            _analysis(frame, faces, started),
            code=code,
            cues=cues,
            live_confidence=confidence,
            nobody_in=decode_glance(jpeg) if request.fine and not faces else None,
        )

    def analyse_photo(self, image: Image, *, embed: bool = True) -> FrameAnalysis:
        """Search a photo, ``(h, w, 3)`` uint8 RGB, for the one person it is to enrol.

        The largest face carries its embedding if ``embed`` asks for it and no other face is nearly
        as large; with another one its quality names ``Problem.SEVERAL_FACES`` first.
        """
        started = time.perf_counter()
        faces = self.faces_in(image, self.search_photo(image), self._photo_quality)
        if len(prominent_faces(faces, self._detection.prominent_height_share)) > 1:
            faces[0] = _with_problem(faces[0], Problem.SEVERAL_FACES)
        elif faces and embed:
            faces[0] = self.with_embedding(image, faces[0])
        return _analysis(image, faces, started)

    def analyse_portrait(self, image: Image, *, embed: bool = True) -> PortraitAnalysis:
        """As ``analyse_photo``, together with the portrait of the main face."""
        analysis = self.analyse_photo(image, embed=embed)
        portrait = portrait_jpeg(image, analysis.faces) if analysis.faces else None
        return PortraitAnalysis(analysis, portrait)

    # ------------------------------------------------------------ where faces are

    def search_frame(self, frame: Image, request: FrameRequest) -> list[Box]:
        """Boxes of the faces: around the last one first, wider only where needed or asked for."""
        near, scale = request.near, self._reduced_scale(frame)
        if near is not None and not request.count_faces and not request.fine:
            followed = self._follow(frame, near)
            return _boxes(followed or self._distinct(self._find_main(frame, scale)))
        if request.fine:
            found = self._find(frame, scale) + (self._find(frame, 1.0) if scale < 1.0 else [])
        else:
            found = self._find_main(frame, scale)
        if near is not None and not any(near.iou(one.box) >= SAME_PLACE for one in found):
            found = [*found, *self._follow(frame, near)]
        return _boxes(self._distinct(found))

    def _reduced_scale(self, frame: Image) -> float:
        return min(1.0, self._detection.reduced_side_px / min(frame.shape[:2]))

    def search_photo(self, image: Image) -> list[Box]:
        """Boxes of the faces of a photo, from a portrait to one person in a wide view."""
        longer_side = max(image.shape[:2])
        finest = min(
            self._detection.largest_enlargement, self._detection.largest_side_px / longer_side
        )
        coarse = min(finest, self._detection.reduced_photo_side_px / longer_side)
        found = self._find(image, coarse)
        if not found:
            return _boxes(self._distinct(self._find(image, finest)))
        # Fine enough for every face that would be prominent beside the largest.
        prominent_px = self._detection.prominent_height_share * max(d.box.height for d in found)
        finer = min(finest, self.models.detector.smallest_face_px / prominent_px)
        if finer > coarse:
            found += self._find(image, finer)
        return _boxes(self._distinct(found))

    def _follow(self, frame: Image, near: Box) -> list[Detection]:
        """Look only around the last face, at the scale at which the detector is cheapest.

        What the detector is not sure of is a face only where the last one was, and only one.
        """
        if near.width <= 0 or near.height <= 0:
            return []
        height, width = frame.shape[:2]
        region = near.grown(self._detection.region_growth, width=width, height=height)
        if region.width <= 0 or region.height <= 0:
            return []
        scale = min(
            self._detection.largest_enlargement, self._detection.region_face_px / near.height
        )
        crop = frame[region.top : region.bottom, region.left : region.right]
        detector = self.models.detector
        detections = detector.detect_main(_resized(crop, scale))
        found = [
            _shifted(detection, region.left, region.top)
            for detection in _in_full_size(
                detections, scale, min_confidence=detector.confidence_to_follow
            )
        ]
        sure = [one for one in found if one.confidence >= detector.confidence_to_find]
        if sure:
            return self._distinct(sure)
        in_place = (one for one in found if near.iou(one.box) >= SAME_PLACE)
        return sorted(in_place, key=lambda one: one.confidence)[-1:]

    def _find_main(self, image: Image, scale: float) -> list[Detection]:
        detector = self.models.detector
        detections = detector.detect_main(_resized(image, scale))
        return _in_full_size(detections, scale, min_confidence=detector.confidence_to_find)

    def _find(self, image: Image, scale: float) -> list[Detection]:
        detector = self.models.detector
        detections = detector.detect(_resized(image, scale))
        return _in_full_size(detections, scale, min_confidence=detector.confidence_to_find)

    def _distinct(self, detections: list[Detection]) -> list[Detection]:
        """Non-maximum suppression across passes: the surest box of each face stays.

        Beside a face that is larger and surer, a small one must be sure itself: a pattern in the
        background is not a second person.
        """
        kept: list[Detection] = []
        for detection in sorted(detections, key=lambda d: d.confidence, reverse=True):
            if any(
                detection.box.overlap(surer.box) >= self._detection.same_face_overlap
                or (
                    detection.confidence < self.models.detector.confidence_beside_larger
                    and detection.box.area < surer.box.area
                )
                for surer in kept
            ):
                continue
            kept.append(detection)
        return kept

    # ------------------------------------------------------------ what faces are like

    def faces_in(
        self, image: Image, boxes: Iterable[Box], thresholds: QualityThresholds
    ) -> list[Face]:
        """Landmarks, pose, eyes and quality of each box, largest face first, no embeddings."""
        faces = [self._face(image, box, thresholds) for box in boxes]
        return sorted(faces, key=lambda face: face.box.area, reverse=True)

    def with_embedding(self, image: Image, face: Face) -> Face:
        """The face with its embedding, and that of the model being replaced where two serve."""
        previous = self.models.previous_embedder
        return replace(
            face,
            embedding=self.models.embedder.embed(image, face.landmarks),
            previous_embedding=previous.embed(image, face.landmarks) if previous else None,
        )

    def _face(self, image: Image, box: Box, thresholds: QualityThresholds) -> Face:
        height, width = image.shape[:2]
        landmarks = self.models.landmarker.landmarks(image, box)
        pose = head_pose(landmarks)
        ear_left, ear_right = eye_aspect_ratios(landmarks)
        return Face(
            box=box.grown(1.0, width=width, height=height),
            landmarks=landmarks,
            pose=pose,
            ear_left=ear_left,
            ear_right=ear_right,
            quality=quality.assess(
                image, landmarks, pose, ear=(ear_left + ear_right) / 2, thresholds=thresholds
            ),
        )


def prominent_faces(faces: Iterable[Face], height_share: float) -> list[Face]:
    """The faces that are at least ``height_share`` as high as the highest."""
    faces = list(faces)
    tallest_px = max((face.box.height for face in faces), default=0)
    return [face for face in faces if face.box.height >= height_share * tallest_px]


def _with_problem(face: Face, problem: Problem) -> Face:
    problems = (problem, *face.quality.problems)
    return replace(face, quality=replace(face.quality, problems=problems))


def _analysis(image: Image, faces: list[Face], started: float) -> FrameAnalysis:
    height, width = image.shape[:2]
    return FrameAnalysis(
        width=width,
        height=height,
        faces=tuple(faces),
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


def _nothing_new(jpeg: bytes, request: FrameRequest, started: float) -> FrameAnalysis:
    width, height = jpeg_size(jpeg)
    return FrameAnalysis(
        width=width,
        height=height,
        code=read_code(decode_frame(jpeg)) if request.read_code else None,
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


def _boxes(detections: list[Detection]) -> list[Box]:
    return [detection.box for detection in detections]


def _resized(image: Image, scale: float) -> Image:
    if scale == 1.0:
        return image
    if scale < 0.5:  # halving by area is as cheap as anything and keeps the rest free of aliasing
        height, width = image.shape[:2]
        image = np.asarray(
            cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8
        )
        return _resized(image, scale * 2)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _in_full_size(
    detections: list[Detection], scale: float, *, min_confidence: float
) -> list[Detection]:
    """Those that are sure enough, from the reduced image back to the whole one."""
    return [
        Detection(_scaled(detection.box, 1 / scale), detection.confidence)
        for detection in detections
        if detection.confidence >= min_confidence
    ]


def _scaled(box: Box, factor: float) -> Box:
    return Box(*(round(side * factor) for side in (box.left, box.top, box.right, box.bottom)))


def _shifted(detection: Detection, right: int, down: int) -> Detection:
    box = detection.box
    return Detection(
        Box(box.left + right, box.top + down, box.right + right, box.bottom + down),
        detection.confidence,
    )
