"""What is known of the person before the camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recognition.engine.blink import BlinkTracker
from recognition.engine.dialogue.steps import Hint, Phase
from recognition.engine.gallery import fuse, similarity
from recognition.engine.liveness.actions import Action, Level
from recognition.engine.liveness.challenge import Challenge, Deed
from recognition.engine.liveness.findings import Finding, Refusal
from recognition.engine.liveness.movements import RestPose
from recognition.engine.liveness.watch import PassiveWatch
from recognition.engine.quality import fusion_weight
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Embedding, Face, FrameAnalysis


@dataclass(frozen=True, slots=True)
class Sighting:
    """An embedded frame. Others must be ``likeness`` alike to it; only frontal ones are fused."""

    phase: Phase
    embedding: Embedding
    previous: Embedding | None
    likeness: float
    weight: float

    @property
    def frontal(self) -> bool:
        return self.phase is not Phase.CHALLENGE


@dataclass(slots=True)
class Visit:
    """What is known of the person before the camera; forgotten when they leave or change."""

    tracker: BlinkTracker
    rest: RestPose
    level: Level
    watch: PassiveWatch
    watched: bool = False
    face: Face | None = None
    seen_at_ms: float = 0.0
    good_at_ms: float = 0.0
    ask_at_ms: float = 0.0
    tries: int = 1
    why_again: Hint | None = None
    challenge: Challenge | None = None
    done: list[Deed] = field(default_factory=list)
    showed_life: bool = False
    sightings: list[Sighting] = field(default_factory=list)
    least_similarity: float = 1.0
    live_confidences: list[float] = field(default_factory=list)
    missed: list[Action] = field(default_factory=list)
    wrong: list[dict[str, Any]] = field(default_factory=list)
    finding: Finding | None = None
    looks: int = 1
    slow: bool = False
    told_glasses: bool = False
    probe: Embedding | None = None
    strange_frames: int = 0

    def count(self, phase: Phase) -> int:
        """How many frames of this phase were embedded."""
        return sum(sighting.phase is phase for sighting in self.sightings)

    def fused(self) -> Embedding:
        """Of all frames of a face that looked ahead, by their quality."""
        frontal = [one for one in self.sightings if one.frontal]
        return fuse([one.embedding for one in frontal], [one.weight for one in frontal])

    def fused_previous(self) -> Embedding | None:
        """The same by the model that is being replaced; None where only one serves."""
        pairs = [
            (one.previous, one.weight)
            for one in self.sightings
            if one.frontal and one.previous is not None
        ]
        return fuse([one for one, _ in pairs], [weight for _, weight in pairs]) if pairs else None

    @property
    def running_challenge(self) -> Challenge:
        assert self.challenge is not None  # noqa: S101 -- for the type checker
        return self.challenge

    def asked_in(self, phase: Phase) -> Action | None:
        return self.running_challenge.asked if phase is Phase.CHALLENGE else None

    def keep(self, face: Face, likeness: float, *, phase: Phase) -> bool:
        """Keep the frame's embedding, if it has one; False if it shows another face.

        ``likeness`` is the least similarity to any other frame; of two frames the lower one counts.
        """
        if face.embedding is None:
            return True
        for other in self.sightings:
            alike = similarity(face.embedding, other.embedding)
            self.least_similarity = min(self.least_similarity, alike)
            if alike < min(likeness, other.likeness):
                return False
        self.sightings.append(
            Sighting(
                phase=phase,
                embedding=face.embedding,
                previous=face.previous_embedding,
                likeness=likeness,
                weight=fusion_weight(face.quality),
            )
        )
        return True

    def look_on(
        self,
        analysis: FrameAnalysis,
        face: Face,
        at_ms: float,
        *,
        good: bool,
        action: Action | None,
    ) -> None:
        """Let the passive checks see the frame, from the first good one on."""
        self.watched = self.watched or good
        if not self.watched:
            return
        self.watch.add(
            analysis,
            face,
            at_ms,
            action=action,
            eyes_closed=self.tracker.eyes_closed,
        )
        if analysis.live_confidence is not None:
            self.live_confidences.append(analysis.live_confidence)

    def refusal_found(self, *, complete: bool) -> Refusal | None:
        self.finding = self.watch.finding(complete=complete)
        return self.finding.reason if self.finding else None

    @property
    def live_confidence(self) -> float | None:
        given = self.live_confidences
        return sum(given) / len(given) if given else None

    def has_become_strange(self, face: Face | None, policy: DialoguePolicy) -> bool:
        """Whether several frames in a row showed somebody else's face, and clearly."""
        if face is None or face.embedding is None or not face.quality.usable:
            return False
        assert self.probe is not None  # noqa: S101 -- for the type checker
        alike = similarity(face.embedding, self.probe) >= policy.other_face_similarity
        self.strange_frames = 0 if alike else self.strange_frames + 1
        return self.strange_frames >= policy.other_face_frames

    def trace(self) -> dict[str, Any]:
        """The figures that an attempt keeps: no picture and no embedding among them."""
        challenge = self.challenge
        trace: dict[str, Any] = {
            "level": self.level,
            "challenge": " ".join(challenge.actions) if challenge else "",
            "nonce": challenge.nonce if challenge else "",
            "tries": self.tries,
            "baseline_ear": round(self.tracker.baseline, 3),
            "least_similarity": round(self.least_similarity, 4),
            "frames": len(self.sightings),
            "actions": [deed.trace() for deed in challenge.deeds] if challenge else [],
            "missed": list(self.missed),
            "wrong": list(self.wrong),
            "passive": self.watch.trace(),
        }
        confidence = self.live_confidence
        if confidence is not None:
            trace["live_confidence"] = round(confidence, 3)
        if self.finding is not None:
            trace["finding"] = {
                "check": self.finding.check,
                "figure": round(self.finding.figure, 3),
                "limit": self.finding.limit,
            }
        return trace
