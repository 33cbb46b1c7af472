"""A kiosk speaks as its screen was told, else as the desk has set it, else as its browser asks."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from checkin.language import KIOSK_COOKIE, LANGUAGE_COOKIE
from checkin.models import Kiosk
from checkin.services import revoke_kiosk
from tests.support.kiosk_client import KioskClient


@pytest.fixture
def screen(client: Client, token: str) -> Client:
    client.cookies[KIOSK_COOKIE] = token
    return client


def test_the_desk_sets_the_language_of_the_screen(screen: Client, kiosk: Kiosk):
    assert "Look into the camera" in screen.get("/kiosk/").text
    Kiosk.objects.update(language="zh-hans")
    page = screen.get("/kiosk/")
    assert "请看镜头" in page.text
    assert page.headers["Content-Language"] == "zh-hans"
    assert "您的学号" in screen.get("/kiosk/look-up/").text


def test_what_the_screen_was_told_wins_and_is_kept(screen: Client, kiosk: Kiosk):
    Kiosk.objects.update(language="zh-hans")
    answer = screen.post("/kiosk/language/", {"language": "en", "next": "/kiosk/look-up/"})
    assert answer.headers["Location"] == "/kiosk/look-up/"
    assert screen.cookies[LANGUAGE_COOKIE]["httponly"]
    assert "Look into the camera" in screen.get("/kiosk/").text


def test_the_kiosk_does_not_speak_as_who_is_logged_in_on_the_same_laptop(
    screen: Client, kiosk: Kiosk
):
    Kiosk.objects.update(language="zh-hans")
    screen.post("/language/", {"language": "en"})
    assert "请看镜头" in screen.get("/kiosk/").text
    assert "at a glance" in screen.get("/").text


def test_a_choice_at_the_screen_stays_at_the_kiosk(screen: Client):
    asked = {"language": "zh-hans", "next": "https://evil.example/"}
    assert screen.post("/kiosk/language/", asked).headers["Location"] == "/kiosk/"
    assert screen.post("/kiosk/language/", {"language": "tlh"}).status_code == 302
    assert "请看镜头" in screen.get("/kiosk/").text
    assert "at a glance" in screen.get("/").text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("setting", "headers", "said"),
    [
        ("zh-hans", [], "已停用"),
        ("", [(b"accept-language", b"zh-CN,zh;q=0.9")], "已停用"),
        ("zh-hans", [(b"cookie", b"kiosk_language=en")], "revoked"),
        ("", [], "revoked"),
    ],
)
async def test_the_socket_speaks_as_the_page_does(kiosk, token, setting, headers, said):
    @sync_to_async
    def revoke() -> None:
        Kiosk.objects.update(language=setting)
        revoke_kiosk(Kiosk.objects.get())

    await revoke()
    async with KioskClient(token, headers=headers) as client:
        await client.closing()
        assert said in client.messages[-1]["message"]
