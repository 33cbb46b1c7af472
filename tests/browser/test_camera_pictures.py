"""When the page takes pictures from a camera, and which."""

from __future__ import annotations

import base64
from collections import Counter
from itertools import pairwise

import cv2
import numpy as np
from playwright.sync_api import Browser

from roster.models import ClassSession
from tests.support.live_server import LiveServer

#: Fifteen pictures a second, and what the page sends of them. Each has a bar for each bit of its
#: number.
COUNTING_CAMERA = """
(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [640, 480];
    const context = canvas.getContext("2d");
    let number = 0;
    const draw = () => {
        number += 1;
        for (let bit = 0; bit < 10; bit += 1) {
            context.fillStyle = (number >> bit) & 1 ? "white" : "black";
            context.fillRect(bit * 64, 0, 64, 480);
        }
    };
    navigator.mediaDevices.getUserMedia = async () => {
        setInterval(draw, 1000 / 15);
        return canvas.captureStream();
    };
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (message) {
        if (typeof message !== "string") {
            new Response(message).arrayBuffer().then((frame) => {
                const bytes = new Uint8Array(frame.slice(12));
                window.sent(btoa(bytes.reduce((all, byte) => all + String.fromCharCode(byte), "")));
            });
        }
        send.call(this, message);
    };
})();
"""
FRAMES = 24


def number_of(jpeg: bytes) -> int:
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    bars = grey[:, 32::64].mean(axis=0)
    return sum(1 << bit for bit, light in enumerate(bars) if light > 127)


def test_pictures_are_sent_as_evenly_as_the_camera_makes_them(
    server: LiveServer, browser: Browser, token: str, math_session: ClassSession
) -> None:
    """One that has been shown for a while is passed over: it is older than the next one would be.

    Ten a second of fifteen would be one and two pictures further in turn, at even distances.
    """
    page = browser.new_page()
    sent: list[str] = []
    page.expose_function("sent", lambda picture: sent.append(picture))
    page.add_init_script(COUNTING_CAMERA)
    page.goto(f"{server.url}/kiosk/#{token}")

    for _ in range(60):
        page.wait_for_timeout(500)
        if len(sent) >= FRAMES:
            break
    numbers = [number_of(base64.b64decode(one)) for one in sent]
    further = Counter(later - earlier for earlier, later in pairwise(numbers[4:]))
    _, most_often = further.most_common(1)[0]
    assert most_often >= 0.75 * further.total(), numbers
