"""What a large upload costs the server."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.live_server import LiveServer, running_server
from tests.support.visitor import Visitor

UPLOAD_BYTES = 40_000_000


def peak_bytes(server: LiveServer) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
@pytest.mark.django_db(transaction=True)
def test_an_upload_is_not_parsed_in_memory():
    with running_server() as server:
        visitor = Visitor(server.url)
        visitor.get("/accounts/login/")
        before = peak_bytes(server)
        answer = visitor.session.post(
            f"{server.url}/accounts/login/",
            data={
                "login": "nobody",
                "password": "wrong",
                "csrfmiddlewaretoken": visitor.session.cookies["csrftoken"],
            },
            files={"unasked": bytes(UPLOAD_BYTES)},
            headers={"Referer": f"{server.url}/accounts/login/"},
            timeout=60,
        )
        assert "not correct" in answer.text
        assert peak_bytes(server) - before < 4 * UPLOAD_BYTES
