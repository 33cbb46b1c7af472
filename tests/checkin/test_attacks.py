"""Pictures instead of people: nobody gets in without blinking with the face that is matched."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from channels.db import database_sync_to_async as in_database

from checkin.models import Attendance, CheckinAttempt
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.images import decode_photo
from recognition.engine.types import Image
from recognition.workers import worker_pool
from tests.support.kiosk_client import KioskClient, Person
from tests.support.pictures import pictures_of
from tests.support.school import a_student, a_template
from tests.support.shared import needs_faces

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("impatient")]

FRAMES = 100


async def nobody_was_let_in(client: KioskClient) -> bool:
    rows = await in_database(Attendance.objects.count)()
    return rows == 0 and not set(client.outcomes) & {"present", "late", "already"}


def warped(picture: Image, matrix: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    return as_jpeg(
        np.asarray(
            cv2.warpPerspective(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )
    )


def shifted(picture: Image, swing: float) -> np.ndarray:
    return np.array([[1, 0, 60 * swing], [0, 1, 20 * swing], [0, 0, 1]], float)


def turned(picture: Image, swing: float) -> np.ndarray:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 15 * swing, 1)
    return np.vstack([turn, [0, 0, 1]])


def nodded(picture: Image, swing: float) -> np.ndarray:
    """Tilted backwards: the eyes flatten as if they closed, and so does everything else."""
    height = picture.shape[0]
    squeeze = 1 - 0.5 * max(0.0, swing)
    return np.array([[1, 0, 0], [0, squeeze, (1 - squeeze) * height / 2], [0, 0, 1]], float)


def swung(picture: Image, swing: float) -> np.ndarray:
    """Turned about its upright axis, like a page."""
    width = picture.shape[1]
    squeeze = 1 - 0.4 * max(0.0, swing)
    return np.array([[squeeze, 0, (1 - squeeze) * width / 2], [0, 1, 0], [0, 0, 1]], float)


async def test_a_still_picture_is_refused(
    eileens_template, math_session, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.photo)
        assert (verdict["outcome"], verdict["name"]) == ("spoof", None)
        assert await nobody_was_let_in(client)
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert (attempt.outcome, attempt.reason, attempt.student) == ("spoof", "repeated_frames", None)
    assert attempt.liveness["finding"]["check"] == "stopped_ms"


async def test_a_person_who_does_not_blink_is_refused(
    eileens_template, math_session, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        assert (await client.verdict_on(eileen_at_the_door.looks))["outcome"] == "spoof"
        assert await nobody_was_let_in(client)
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert (attempt.outcome, attempt.reason, attempt.student) == ("spoof", "no_blink", None)
    assert attempt.liveness["tries"] == 2


@pytest.mark.parametrize("move", [shifted, turned, nodded, swung])
async def test_a_picture_that_is_moved_about_is_refused(
    eileens_template, math_session, token, eileen_at_the_door, move
):
    picture, frames = eileen_at_the_door.picture, itertools.count()

    def scene(phase: str, number: int) -> bytes:
        """Held in a hand that trembles, and swung when something is asked."""
        tremble = shifted(picture, 0.05 * float(np.sin(1.7 * next(frames))))
        swing = float(np.sin(number / 2)) if phase == "challenge" else 0.0
        return warped(picture, tremble @ move(picture, swing))

    async with KioskClient(token) as client:
        await client.watch(scene, frames=FRAMES)
        assert "challenge" in {message.get("phase") for message in client.messages}
        assert await nobody_was_let_in(client)


@pytest.fixture(scope="module")
def hillary_at_the_door() -> Person:
    portrait = decode_photo(pictures_of("Hillary_Clinton", 1)[0])
    face = worker_pool().analyse_photo(pictures_of("Hillary_Clinton", 1)[0]).result().main_face
    assert face is not None
    return Person(portrait, face.landmarks)


@pytest.fixture
def hillary(math):
    """On the list of MATH, and enrolled."""
    student = a_student("S-4", "Hillary Clinton", math)
    face = worker_pool().analyse_photo(pictures_of("Hillary_Clinton", 1)[0]).result().main_face
    assert face is not None
    assert face.embedding is not None
    a_template(student, face.embedding)
    return student


@needs_faces
async def test_the_victim_of_the_attacks_below_gets_in_by_herself(
    quick, hillary, math_session, token, hillary_at_the_door
):
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(hillary_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["name"]) == ("present", "Hillary Clinton")


@needs_faces
@pytest.mark.parametrize("shown_in", [{"matching"}, {"challenge"}, {"guiding", "waiting"}])
async def test_a_blinks_and_the_photo_of_b_is_shown(
    hillary, math_session, token, eileen_at_the_door, hillary_at_the_door, shown_in
):
    """Eileen, who is not enrolled, holds up Hillary's photo in some of the phases."""

    def scene(phase: str, number: int) -> bytes:
        if phase in shown_in:
            return hillary_at_the_door.photo(phase, number)
        return eileen_at_the_door.blinks_when_asked(phase, number)

    async with KioskClient(token) as client:
        await client.watch(scene, frames=FRAMES)
        assert await nobody_was_let_in(client)


@needs_faces
async def test_a_blinks_in_the_place_of_the_photo_of_b(
    hillary, math_session, token, eileen_at_the_door, hillary_at_the_door
):
    """The photo is away for the blink only."""

    def scene(phase: str, number: int) -> bytes:
        if eileen_at_the_door.is_blinking(phase, number):
            return eileen_at_the_door.blinks_when_asked(phase, number)
        return hillary_at_the_door.looks(phase, number)

    async with KioskClient(token) as client:
        await client.watch(scene, frames=FRAMES)
        assert await nobody_was_let_in(client)
