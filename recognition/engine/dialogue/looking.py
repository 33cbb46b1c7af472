"""What the next frame is searched for: no more than the dialogue needs to go on."""

from __future__ import annotations

from recognition.engine.dialogue.steps import AntiSpoofing, Phase
from recognition.engine.dialogue.visit import Visit
from recognition.engine.liveness.actions import BLINKS
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Face, FrameAnalysis, FrameRequest, Image

#: A whole frame is searched at full resolution, or for bystanders, every so many frames.
FINE_SEARCH_EVERY = 5
#: Where a frame looks as it did when nobody was there, every so many are searched all the same.
SEARCH_EVERY = 20
COUNT_FACES_EVERY = 3
#: A screen's grid and border are looked for in so many: 1 ms each, and half of a visit says enough.
SCREEN_CUES_EVERY = 2
#: Codes are looked for in so many frames, while they are taken beside faces: 4 ms each.
READ_CODE_EVERY = 3
#: While a pass is awaited, the face is compared in so many frames.
COMPARE_FACE_EVERY = 2

#: In these the passive checks look on, and the workers measure what they need.
WATCHED = (Phase.GUIDING, Phase.WAITING, Phase.CHALLENGE, Phase.MATCHING)


class Looking:
    """Counts the frames, and knows what the room looks like while nobody is there."""

    def __init__(self, policy: DialoguePolicy, anti_spoofing: AntiSpoofing) -> None:
        self._policy = policy
        self._anti_spoofing = anti_spoofing
        self._frames = 0
        self._nobody_in: Image | None = None

    def add(self, analysis: FrameAnalysis) -> None:
        self._frames += 1
        self._nobody_in = self._nobody_in if analysis.nobody_in is None else analysis.nobody_in

    def for_anybody(self, *, reads_codes: bool) -> FrameRequest:
        return FrameRequest(
            fine=self._frames % FINE_SEARCH_EVERY == 0,
            read_code=self._looks_for_code(reads_codes),
            unless_like=None if self._frames % SEARCH_EVERY == 0 else self._nobody_in,
        )

    def for_who_left(self, *, reads_codes: bool) -> FrameRequest:
        """Somebody was there a moment ago, and may be there still."""
        return FrameRequest(
            read_code=self._looks_for_code(reads_codes), unless_like=self._nobody_in
        )

    def at(self, face: Face, visit: Visit, phase: Phase, *, reads_codes: bool) -> FrameRequest:
        """For the face that is followed; ``reads_codes`` where a pass may be shown beside it."""
        return FrameRequest(
            near=face.box,
            count_faces=phase is Phase.GUIDING or self._frames % COUNT_FACES_EVERY == 0,
            embed=self._wants_embedding(visit, phase),
            embed_if_ear_below=_embedded_below_ear(face, visit, phase),
            read_code=phase is Phase.PASS or self._looks_for_code(reads_codes),
            cues=phase in WATCHED,
            screen_cues=self._frames % SCREEN_CUES_EVERY == 0,
            spoof_model=self._wants_spoof_model(visit, phase),
        )

    def _looks_for_code(self, reads_codes: bool) -> bool:
        return reads_codes and self._frames % READ_CODE_EVERY == 0

    def _wants_embedding(self, visit: Visit, phase: Phase) -> bool:
        if phase is Phase.WAITING:
            return visit.count(Phase.WAITING) < self._policy.frames_before
        if phase is Phase.CHALLENGE:
            return visit.running_challenge.wants_embedding
        if phase is Phase.PASS:
            return self._frames % COMPARE_FACE_EVERY == 0
        return phase is Phase.MATCHING

    def _wants_spoof_model(self, visit: Visit, phase: Phase) -> bool:
        return (
            self._anti_spoofing is not AntiSpoofing.OFF
            and phase is Phase.MATCHING
            and len(visit.live_confidences) < self._policy.spoof_model_frames
        )


def _embedded_below_ear(last: Face, visit: Visit, phase: Phase) -> float:
    """Lids are faster than a request. Of those that stay down every second frame will do."""
    tracker = visit.tracker
    if visit.asked_in(phase) not in BLINKS:
        return 0.0
    return 0.0 if tracker.eyes_closed and last.embedding is not None else tracker.closed_below
