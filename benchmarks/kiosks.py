"""``python -m benchmarks kiosks``: many kiosks at once, through the real server and websockets.

A server of its own over an empty database, one session for each kiosk. Before each camera people
come, blink when they are asked, read their verdict and go, over and over. Server, workers and
cameras share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import serving
from recognition.engine.types import Image

FPS = 10
CLIP_S = 20
#: Once every kiosk has had its first answer, for which the workers load the models.
WARM_UP_S = 5.0
GOAL_P99_MS = 300
#: Lids go down faster than up.
LIDS_DOWN_S, CLOSED_S, LIDS_UP_S = 0.1, 0.1, 0.2
REACTION_S = 0.5
BLINKS_EVERY_S = 2.5
READS_VERDICT_S = 2.5
GOES_S = 1.0
CLOSURES = (0.0, 0.25, 0.5, 0.75, 1.0)
CAMERA_NOISE = 3.0


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one person as JPEG files, ``FPS`` a second: by how far the lids are down."""

    by_closure: dict[float, list[bytes]]
    empty_room: list[bytes]

    def at(self, time_s: float, closure: float) -> bytes:
        return self._of(self.by_closure[min(CLOSURES, key=lambda one: abs(one - closure))], time_s)

    def nobody(self, time_s: float) -> bytes:
        return self._of(self.empty_room, time_s)

    def _of(self, frames: list[bytes], time_s: float) -> bytes:
        return frames[int(time_s * FPS) % len(frames)]


@dataclass(slots=True)
class Answers:
    """What came back since the warm-up: ages by the server's clock, round trips by our own."""

    first: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    ages_ms: list[float] = field(default_factory=list)
    round_trips_ms: list[float] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)
    shown_s: float = 0.0

    async def from_all(self, kiosks: int) -> None:
        """Wait until each of them had its first answer."""
        for _kiosk in range(kiosks):
            await self.first.get()

    def forget(self) -> None:
        self.ages_ms, self.round_trips_ms, self.verdicts, self.shown_s = [], [], {}, 0.0

    def take(self, message: dict[str, Any], sent_s: float) -> None:
        self.round_trips_ms.append((time.monotonic() - sent_s) * 1000)
        if message["type"] == "state":
            self.ages_ms.append(message["age_ms"])
        else:
            kind = message.get("outcome") or message["code"]
            self.verdicts[kind] = self.verdicts.get(kind, 0) + 1
            self.shown_s += READS_VERDICT_S


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks kiosks", description=__doc__)
    parser.add_argument("--kiosks", type=int, nargs="+", default=[8, 20], metavar="N")
    parser.add_argument("--seconds", type=float, default=30.0, help="of measuring each (30)")
    parser.add_argument("--fps", type=float, default=FPS, help=f"of each camera ({FPS})")
    parser.add_argument("--nobody", action="store_true", help="nobody comes to any kiosk")
    chosen = parser.parse_args(arguments)
    if min(chosen.kiosks) < 1 or chosen.seconds <= 0 or not 0 < chosen.fps <= 30:
        parser.error("expected kiosks from 1, seconds above 0 and 1 to 30 frames a second")
    with tempfile.TemporaryDirectory() as folder:
        serving.set_up(Path(folder), f"sqlite:///{folder}/kiosks.sqlite3")
        clip = _without_people(_people()) if chosen.nobody else _people()
        measure(Path(folder), chosen.kiosks, clip, seconds=chosen.seconds, fps=chosen.fps)


def measure(folder: Path, counts: Sequence[int], clip: Clip, *, seconds: float, fps: float) -> None:
    """Print one row for each number of kiosks."""
    tokens = _tokens(folder, max(counts))
    print(
        f"{'kiosks':>6} {'frames/s':>9} {'each':>5} {'verdicts/s':>10} "
        f"{'age p50':>8} {'age p99':>8} {'trip p50':>8} {'trip p99':>8} "
        f"{'CPU/kiosk':>9} {'MiB':>12}   verdicts"
    )
    for count in counts:
        with serving.running_server() as (port, pid):
            url = f"ws://127.0.0.1:{port}/ws/kiosk/"
            asyncio.run(_measure_at(url, pid, tokens[:count], clip, seconds=seconds, fps=fps))
        _print_reasons()


def _print_reasons() -> None:
    """Why people were refused; the first seconds are counted as well."""
    from django.db.models import Count

    from checkin.models import CheckinAttempt

    refused = CheckinAttempt.objects.exclude(reason="").values_list("reason")
    for reason, count in refused.annotate(Count("pk")):
        print(f"{'':>6} refused as {reason}: {count}")
    CheckinAttempt.objects.all().delete()


async def _measure_at(
    url: str, pid: int, tokens: Sequence[str], clip: Clip, *, seconds: float, fps: float
) -> None:
    answers = Answers()
    kiosks = [
        asyncio.create_task(_kiosk(url, token, clip, answers, number * 1.7, fps))
        for number, token in enumerate(tokens)
    ]
    await answers.from_all(len(kiosks))
    await asyncio.sleep(WARM_UP_S)
    answers.forget()
    before, started_s = serving.load_of(pid), time.monotonic()
    while (elapsed_s := time.monotonic() - started_s) < seconds:
        await asyncio.sleep(min(60.0, seconds - elapsed_s))
        if seconds > 60:
            memory_mib = serving.load_of(pid).memory_mib
            print(f"    after {time.monotonic() - started_s:.0f} s {memory_mib:.0f} MiB")
        ended = [kiosk for kiosk in kiosks if kiosk.done()]
        if ended:
            ended[0].result()
    after, elapsed_s = serving.load_of(pid), time.monotonic() - started_s
    for kiosk in kiosks:
        kiosk.cancel()
    await asyncio.gather(*kiosks, return_exceptions=True)
    print(_row(len(tokens), answers, before, after, elapsed_s))


def _row(
    count: int, answers: Answers, before: serving.Load, after: serving.Load, elapsed_s: float
) -> str:
    ages, trips = np.array(answers.ages_ms), np.array(answers.round_trips_ms)
    age_p50, age_p99 = np.percentile(ages, [50, 99])
    trip_p50, trip_p99 = np.percentile(trips, [50, 99])
    decided = sum(answers.verdicts.values())
    # While a verdict is shown, a kiosk sends nothing.
    each = len(trips) / (count * elapsed_s - answers.shown_s)
    cpu = (after.cpu_s - before.cpu_s) / elapsed_s / count
    goal = "met" if age_p99 <= GOAL_P99_MS else "missed"
    return (
        f"{count:>6} {len(trips) / elapsed_s:>9.1f} {each:>5.1f} {decided / elapsed_s:>10.2f} "
        f"{age_p50:>8.0f} {age_p99:>8.0f} {trip_p50:>8.0f} {trip_p99:>8.0f} {cpu:>9.1%} "
        f"{before.memory_mib:>5.0f}-{after.memory_mib:<6.0f}   {answers.verdicts} "
        f"(goal: age p99 <= {GOAL_P99_MS} ms: {goal})"
    )


# The kiosks


async def _kiosk(
    url: str, token: str, clip: Clip, answers: Answers, offset_s: float, fps: float
) -> None:
    """One frame in flight, at most ``fps`` a second; after a verdict the next person comes."""
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(url, additional_headers=headers, max_size=None) as line:
        visit = _Visit(clip, offset_s)
        for seq in range(1 << 31):
            sent_s = time.monotonic()
            await line.send(_message(seq, visit.frame(sent_s)))
            message = await _answer_to(seq, line)
            if seq == 0:
                answers.first.put_nowait(None)
            answers.take(message, sent_s)
            visit.hear(message, time.monotonic())
            if message["type"] == "verdict":
                await asyncio.sleep(READS_VERDICT_S)
            due_s = sent_s + max(1 / fps, message.get("interval_ms", 0) / 1000)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


class _Visit:
    """What one camera sees: somebody who blinks when asked, then nobody for a moment."""

    def __init__(self, clip: Clip, offset_s: float) -> None:
        self._clip = clip
        self._offset_s = offset_s
        self._asked_s: float | None = None
        self._gone_until_s = 0.0

    def frame(self, now_s: float) -> bytes:
        if now_s < self._gone_until_s:
            return self._clip.nobody(now_s + self._offset_s)
        return self._clip.at(now_s + self._offset_s, self._closure(now_s))

    def hear(self, message: dict[str, Any], now_s: float) -> None:
        if message["type"] == "verdict":
            self._gone_until_s = now_s + READS_VERDICT_S + GOES_S
        if message.get("phase") != "challenge":
            self._asked_s = None
        elif self._asked_s is None:
            self._asked_s = now_s

    def _closure(self, now_s: float) -> float:
        if self._asked_s is None:
            return 0.0
        into_blink_s = (now_s - self._asked_s - REACTION_S) % BLINKS_EVERY_S
        down = into_blink_s / LIDS_DOWN_S
        up = (into_blink_s - LIDS_DOWN_S - CLOSED_S) / LIDS_UP_S
        return min(max(down, 0.0), 1.0) - min(max(up, 0.0), 1.0)


def _message(seq: int, jpeg: bytes) -> bytes:
    return seq.to_bytes(4) + int(time.time() * 1000).to_bytes(8) + jpeg


async def _answer_to(seq: int, line: ClientConnection) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await line.recv())
        if message.get("seq") == seq:
            return message


# The school


def _people() -> Clip:
    from benchmarks import people
    from checkin.virtual_kiosk import as_jpeg
    from recognition.engine.synthesis import AnimatedPortrait

    portrait = people.astronaut().portrait
    animated = AnimatedPortrait(portrait, landmarks=_face(portrait).landmarks)
    random = np.random.default_rng(1)

    def taken(scene: Image) -> bytes:
        """With the noise of a camera: no two frames of one are the same."""
        noisy = scene + random.normal(0, CAMERA_NOISE, scene.shape[:2])[..., None]
        return as_jpeg(np.clip(noisy, 0, 255).astype(np.uint8))

    def seen(number: int, closure: float) -> bytes:
        return taken(animated.frame(number / FPS, closure=closure))

    by_closure = {
        closure: [seen(number, closure) for number in range(CLIP_S * FPS)] for closure in CLOSURES
    }
    room = np.full((480, 640, 3), 128, np.uint8)
    return Clip(by_closure, [taken(room) for _number in range(CLIP_S * FPS)])


def _without_people(clip: Clip) -> Clip:
    return Clip(dict.fromkeys(CLOSURES, clip.empty_room), clip.empty_room)


def _tokens(folder: Path, count: int) -> list[str]:
    """Each kiosk with a room, a session and a class of its own, where the person is enrolled."""
    from django.utils import timezone

    from benchmarks import people
    from checkin.models import Kiosk
    from checkin.services import issue_kiosk_token
    from recognition.models import Consent
    from recognition.services import record_consent, store_template
    from roster.models import ClassSession, Course, CourseEnrolment, Room, Student

    embedding = _face(people.astronaut().portrait).embedding
    now, tokens = timezone.now(), []
    for number in range(count):
        course = Course.objects.create(code=f"C-{number}", title=f"Course {number}")
        Course.objects.filter(pk=course.pk).update(liveness="blink")
        room = Room.objects.create(name=f"Room {number}")
        ClassSession.objects.create(
            course=course, room=room, starts_at=now, ends_at=now + timedelta(hours=3)
        )
        student = Student.objects.create(student_id=f"S-{number}", name=f"Student {number}")
        CourseEnrolment.objects.create(course=course, student=student)
        record_consent(student=student, given_via=Consent.GivenVia.IN_PERSON)
        store_template(student=student, embeddings=[embedding], created_by=None)
        tokens.append(issue_kiosk_token(Kiosk.objects.create(name=f"Door {number}", room=room)))
    return tokens


def _face(portrait: Any) -> Any:
    from django.conf import settings

    from recognition.engine.analysis import Analyser
    from recognition.engine.models import load_models
    from recognition.workers import model_choice

    models = load_models(model_choice(), model_cache_dir=settings.MODEL_CACHE_DIR)
    face = Analyser(models).analyse_photo(portrait).main_face
    assert face is not None
    return face
