"""Who may open the kiosk's socket, what it says, and that bad input leaves it usable."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from channels.db import database_sync_to_async as in_database
from django.utils import timezone

from checkin import consumers, frames
from checkin.models import Kiosk
from checkin.services import issue_kiosk_token, revoke_kiosk
from checkin.virtual_kiosk import as_frame, as_jpeg
from tests.support import pictures
from tests.support.kiosk_client import KioskClient
from tests.support.school import a_session

pytestmark = pytest.mark.django_db(transaction=True)

GREY = as_jpeg(np.full((480, 640, 3), 128, np.uint8))
SAME_ORIGIN = [(b"origin", b"http://testserver"), (b"host", b"testserver")]


def cookie(token: str) -> tuple[bytes, bytes]:
    return b"cookie", f"kiosk_token={token}".encode()


# Getting in


async def test_a_kiosk_is_welcomed_and_told_its_sessions(math_session, eileen, token):
    async with KioskClient(token) as client:
        welcome = await client.receive()
        sessions = await client.receive()
    assert welcome["type"] == "welcome"
    assert (welcome["protocol"], welcome["kiosk"]) == (1, "Door of 101")
    assert welcome["frame"]["max_bytes"] == 400_000
    starts_at, ends_at = math_session.starts_at, math_session.ends_at
    assert sessions == {
        "type": "sessions",
        "sessions": [
            {
                "course": "Linear Algebra",
                "code": "MATH",
                "room": "101",
                "starts": f"{starts_at:%H:%M}",
                "ends": f"{ends_at:%H:%M}",
                "entry": "face_or_pass",
                "expected": 1,
                "present": 0,
            }
        ],
    }


async def test_a_kiosk_is_told_the_sessions_of_its_room_only(math_session, chem_session, token):
    async with KioskClient(token) as client:
        sessions = (await client.until("sessions"))["sessions"]
    assert [session["code"] for session in sessions] == ["MATH"]


async def test_times_are_those_of_the_courses_zone(math, room_101, token):
    def in_auckland():
        math.timezone = "Pacific/Auckland"
        math.save()
        return a_session(math, room=room_101)

    session = await in_database(in_auckland)()
    async with KioskClient(token) as client:
        shown = (await client.until("sessions"))["sessions"][0]
    local = timezone.localtime(session.starts_at, session.course.zone)
    assert shown["starts"] == f"{local:%H:%M}"
    assert shown["starts"] != f"{session.starts_at:%H:%M}"


async def test_a_connection_is_noted_at_the_kiosk(kiosk, token):
    async with KioskClient(token) as client:
        await client.until("sessions")
    seen = await in_database(Kiosk.objects.get)(pk=kiosk.pk)
    assert seen.last_seen_at is not None


@pytest.mark.parametrize("wrong", ["rck_wrong", "é"])
async def test_an_unknown_token_is_refused_with_a_reason(token, wrong):
    async with KioskClient(wrong) as client:
        assert await client.closing() == ("kiosk_unknown", 4401)


async def test_no_token_at_all_is_refused_with_a_reason(token):
    async with KioskClient(headers=SAME_ORIGIN) as client:
        assert await client.closing() == ("kiosk_unknown", 4401)


async def test_a_revoked_kiosk_is_refused_with_a_reason(kiosk, token):
    await in_database(revoke_kiosk)(kiosk)
    async with KioskClient(token) as client:
        assert await client.closing() == ("kiosk_revoked", 4403)


async def test_our_own_page_comes_in_with_the_cookie(token):
    async with KioskClient(headers=[*SAME_ORIGIN, cookie(token)]) as client:
        assert (await client.receive())["type"] == "welcome"


async def test_the_cookie_is_found_among_those_of_other_programs(token):
    others = b'theme={dark: 1}; a/b=2; x="y; '
    header = (b"cookie", others + f"kiosk_token={token}".encode())
    async with KioskClient(headers=[*SAME_ORIGIN, header]) as client:
        assert (await client.receive())["type"] == "welcome"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"https://testserver", b"testserver"),
        (b"http://testserver:8000", b"testserver:8000"),
        (b"http://[::1]:8000", b"[::1]:8000"),
    ],
)
async def test_our_page_may_have_a_port_a_certificate_or_a_number(settings, token, origin, host):
    settings.ALLOWED_HOSTS = ["testserver", "[::1]"]
    headers = [(b"origin", origin), (b"host", host), cookie(token)]
    async with KioskClient(headers=headers) as client:
        assert (await client.receive())["type"] == "welcome"


async def test_a_trusted_origin_comes_in(settings, token):
    settings.CSRF_TRUSTED_ORIGINS = ["https://rollcall.example.edu"]
    headers = [(b"origin", b"https://rollcall.example.edu"), (b"host", b"10.0.0.1"), cookie(token)]
    async with KioskClient(headers=headers) as client:
        assert (await client.receive())["type"] == "welcome"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://evil.example", b"testserver"),
        (b"http://testserver.evil.example", b"testserver"),
        (b"http://testserver:8001", b"testserver:8000"),
        (b"http://evil.example", b"evil.example"),
        (b"null", b"testserver"),
        (b"http://[", b"testserver"),
        (b"http://", b""),
    ],
)
async def test_a_foreign_page_is_refused_even_with_the_cookie(token, origin, host):
    headers = [(b"origin", origin), (b"host", host), cookie(token)]
    async with KioskClient(headers=headers) as client:
        assert await client.closing() == ("origin_refused", 4403)


async def test_a_foreign_page_is_refused_even_with_the_token(token):
    headers = [(b"origin", b"http://evil.example"), (b"host", b"testserver")]
    async with KioskClient(token, headers=headers) as client:
        assert await client.closing() == ("origin_refused", 4403)


async def test_a_cookie_without_an_origin_is_refused(token):
    async with KioskClient(headers=[(b"host", b"testserver"), cookie(token)]) as client:
        assert await client.closing() == ("origin_refused", 4403)


# While it is open


async def test_a_kiosk_revoked_while_connected_is_cut_off(kiosk, token):
    """Within `RECHECK_S` seconds, which this test waits for."""
    async with KioskClient(token) as client:
        await client.until("sessions")
        await in_database(revoke_kiosk)(kiosk)
        async with asyncio.timeout(consumers.RECHECK_S + 5):
            assert await client.closing() == ("kiosk_revoked", 4403)


async def test_a_new_token_cuts_the_old_ones_connection_off(monkeypatch, kiosk, token):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    async with KioskClient(token) as client:
        await client.until("sessions")
        await in_database(issue_kiosk_token)(kiosk)
        assert await client.closing() == ("kiosk_revoked", 4403)


async def test_a_deleted_kiosk_is_cut_off(monkeypatch, kiosk, token):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    async with KioskClient(token) as client:
        await client.until("sessions")
        await in_database(kiosk.delete)()
        assert await client.closing() == ("kiosk_revoked", 4403)


async def test_a_second_connection_replaces_the_first(math_session, token):
    async with KioskClient(token) as first:
        await first.until("sessions")
        async with KioskClient(token) as second:
            await second.until("sessions")
            assert await first.closing() == ("replaced", 4409)
            assert (await second.answer_to(GREY))["phase"] == "searching"


async def test_another_kiosk_replaces_nobody(room_101, token):
    def another() -> str:
        return issue_kiosk_token(Kiosk.objects.create(name="Other door", room=room_101))

    async with KioskClient(token) as first, KioskClient(await in_database(another)()) as second:
        await first.until("sessions")
        await second.until("sessions")
        await first.send_text('{"type": "ping"}')
        assert (await first.receive())["type"] == "pong"


async def test_closing_the_session_is_announced(monkeypatch, math_session, token):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)

    def close() -> None:
        math_session.closed_at = timezone.now()
        math_session.save()

    async with KioskClient(token) as client:
        assert len((await client.until("sessions"))["sessions"]) == 1
        await in_database(close)()
        assert (await client.until("sessions"))["sessions"] == []
        assert (await client.answer_to(GREY))["phase"] == "idle"


async def test_opening_a_session_is_announced(monkeypatch, math, room_101, token):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.1)
    async with KioskClient(token) as client:
        assert (await client.until("sessions"))["sessions"] == []
        await in_database(a_session)(math, room=room_101)
        assert [s["code"] for s in (await client.until("sessions"))["sessions"]] == ["MATH"]


async def test_unchanged_sessions_are_not_repeated(monkeypatch, math_session, token):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
    async with KioskClient(token) as client:
        await client.until("sessions")
        assert await client.says_nothing()


async def test_a_client_that_sends_too_fast_is_cut_off(monkeypatch, token):
    monkeypatch.setattr(frames, "PATIENCE_S", 1)
    ping = json.dumps({"type": "ping"})

    async def flood(client: KioskClient) -> None:
        while True:
            for _ in range(20):
                await client.send_text(ping)
            await asyncio.sleep(0.05)

    async with KioskClient(token) as client:
        flooding = asyncio.create_task(flood(client))
        assert await client.closing() == ("too_fast", 4408)
        flooding.cancel()


# Frames and texts


async def test_a_ping_is_answered(token):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_text('{"type": "ping"}')
        assert await client.receive() == {"type": "pong"}


async def test_without_a_session_frames_are_answered_and_not_looked_at(token):
    """Not even decoded: what is no picture at all gets the same answer."""
    async with KioskClient(token) as client:
        await client.until("sessions")
        answer = await client.answer_to(b"no picture at all")
        assert (answer["type"], answer["phase"]) == ("state", "idle")
        assert answer["message"] == "No session is open"
        assert (answer["progress"], answer["face"]) == (0.0, None)


async def test_a_frame_is_answered_with_its_number_and_time(math_session, token):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_bytes((7).to_bytes(4) + (123456).to_bytes(8) + GREY)
        answer = await client.until("state")
    assert answer == {
        "type": "state",
        "seq": 7,
        "captured": 123456,
        "phase": "searching",
        "message": "Look into the camera",
        "hint": "look",
        "progress": 0.0,
        "asked": None,
        "face": None,
        "skipped": 0,
        "age_ms": answer["age_ms"],
        "interval_ms": answer["interval_ms"],
    }
    assert answer["age_ms"] >= 0


async def test_the_largest_header_is_read(math_session, token):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_bytes(b"\xff" * 12 + GREY)
        answer = await client.until("state")
    assert (answer["seq"], answer["captured"]) == (2**32 - 1, 2**64 - 1)


async def test_the_face_is_told_as_shares_of_the_frame(math_session, token, eileen_at_the_door):
    async with KioskClient(token) as client:
        await client.until("sessions")
        answer = await client.answer_to(eileen_at_the_door.photo("", 0))
    left, top, width, height = answer["face"]
    assert 0.3 < left + width / 2 < 0.7
    assert 0.3 < top + height / 2 < 0.7
    assert 0.1 < width < height < 0.8


async def test_of_frames_that_come_at_once_the_newest_is_answered(math_session, token):
    async with KioskClient(token) as client:
        await client.until("sessions")
        for seq in range(1, 11):
            await client.send_bytes(as_frame(seq, GREY))
        answers = [await client.until("state")]
        while answers[-1]["seq"] != 10:
            answers.append(await client.until("state"))
    assert len(answers) + sum(answer["skipped"] for answer in answers) == 10
    assert sum(answer["skipped"] for answer in answers) >= 7


@pytest.mark.parametrize("seq", [6, 7, 2**31 + 7])
async def test_a_frame_out_of_order_is_told_so_and_not_looked_at(math_session, token, seq):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_bytes(as_frame(7, GREY))
        await client.until("state")
        await client.send_bytes(as_frame(seq, b"no picture at all"))
        error = await client.until("error")
        assert (error["seq"], error["code"]) == (seq, "out_of_order")
        assert f"{seq} came after frame 7" in error["message"]
        await client.send_bytes(as_frame(8, GREY))
        assert (await client.until("state"))["seq"] == 8


async def test_the_numbers_of_frames_begin_again_after_the_largest(math_session, token):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_bytes(as_frame(2**32 - 1, GREY))
        await client.until("state")
        await client.send_bytes(as_frame(0, GREY))
        assert (await client.until("state"))["seq"] == 0


BAD_FRAMES = {
    "not a JPEG": (b"GIF89a and more", "not_a_jpeg"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not_a_jpeg"),
    "truncated JPEG": (pictures.truncated(GREY), "broken_jpeg"),
    "only the start of a JPEG": (b"\xff\xd8", "broken_jpeg"),
    "JPEG bomb": (pictures.jpeg_bomb(), "frame_too_many_pixels"),
    "PNG bomb": (pictures.png_bomb(), "not_a_jpeg"),
    "too many bytes": (GREY + bytes(400_000), "frame_too_large"),
    "nothing after the header": (b"", "frame_too_short"),
}


@pytest.mark.parametrize(("jpeg", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_bad_frame_is_told_why_and_the_next_one_is_answered(
    math_session, token, jpeg, code
):
    async with KioskClient(token) as client:
        await client.until("sessions")
        error = await client.answer_to(jpeg)
        assert (error["type"], error["code"]) == ("error", code)
        assert len(error["message"]) > 20
        assert (await client.answer_to(GREY))["phase"] == "searching"


@pytest.mark.parametrize("message", [b"", b"\x00", b"\x00" * 11])
async def test_a_message_without_a_whole_header_is_told_why(math_session, token, message):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_bytes(message)
        error = await client.until("error")
        assert (error["seq"], error["code"]) == (None, "frame_too_short")
        assert f"has {len(message)} bytes" in error["message"]
        assert (await client.answer_to(GREY))["phase"] == "searching"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("hello", "not_json"),
        ('{"type": "ping"', "not_json"),
        ("{}", "unknown_message"),
        ("[]", "unknown_message"),
        ("null", "unknown_message"),
        ('{"type": "frame", "jpeg": "…"}', "unknown_message"),
        ('{"type": ["ping"]}', "unknown_message"),
        ("[" * 100_000, "not_json"),
    ],
)
async def test_a_bad_text_is_told_why_and_the_next_frame_is_answered(
    math_session, token, text, code
):
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_text(text)
        error = await client.until("error")
        assert (error["seq"], error["code"]) == (None, code)
        assert (await client.answer_to(GREY))["phase"] == "searching"
