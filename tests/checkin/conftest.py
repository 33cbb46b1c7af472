from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from checkin import consumers
from checkin import kiosk as kiosk_module
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.dialogue import CheckInDialogue
from recognition.engine.synthesis import blinking_clip
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Embedding, Face
from recognition.models import FaceTemplate
from recognition.selectors import GalleryCache
from roster.models import Student
from tests.support.kiosk_client import FPS, Person
from tests.support.pictures import astronaut
from tests.support.school import a_template

#: Fixtures of tests in which a person is before a camera.
SEEN_LIVE = {"eileen_at_the_door", "blinking_astronaut", "performer"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not SEEN_LIVE.isdisjoint(getattr(item, "fixturenames", ())):
            # Real frames, real models and the real clock on a busy machine.
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture
def eileens_template(eileen: Student, astronaut_embedding: Embedding) -> FaceTemplate:
    """Eileen can be recognised."""
    return a_template(eileen, astronaut_embedding)


@pytest.fixture(scope="session")
def eileen_at_the_door(astronaut_face: Face) -> Person:
    return Person(astronaut(), astronaut_face.landmarks)


@pytest.fixture(scope="session")
def blinking_astronaut(astronaut_face: Face) -> list[bytes]:
    """Twenty seconds, `FPS` frames each, with a blink every other second: longer than a check-in.

    Within one, a camera never shows the same picture again.
    """
    frames = blinking_clip(
        astronaut(),
        landmarks=astronaut_face.landmarks,
        fps=FPS,
        seconds=20,
        blinks_at=range(1, 20, 2),
    )
    return [as_jpeg(frame) for frame in frames]


@pytest.fixture(autouse=True)
def no_old_galleries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test's rows are new, but their numbers come again."""
    monkeypatch.setattr(kiosk_module, "galleries", GalleryCache())


@pytest.fixture
def dialogue_policy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change times of the dialogue, so that a test need not wait as a person would."""

    def change(**times_ms: float) -> None:
        policy = replace(DialoguePolicy(), **times_ms)
        monkeypatch.setattr(consumers, "CheckInDialogue", partial(CheckInDialogue, policy=policy))

    return change


@pytest.fixture
def quick(dialogue_policy: Callable[..., None]) -> None:
    """Short waits and verdicts; as much time to blink as ever."""
    dialogue_policy(steady_ms=100, wait_min_ms=100, wait_max_ms=200, show_ms=200, leave_ms=150)


@pytest.fixture
def impatient(dialogue_policy: Callable[..., None]) -> None:
    """Who does not blink at once is refused."""
    dialogue_policy(steady_ms=100, wait_min_ms=100, wait_max_ms=200, challenge_ms=800, show_ms=200)
