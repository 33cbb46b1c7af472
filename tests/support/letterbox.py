"""A mail server that keeps what arrives."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

ARRIVAL_TIMEOUT_S = 30


class Letterbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def wait_for(self, subject: str) -> EmailMessage:
        """The newest mail whose subject contains this, once it is there."""
        give_up_s = time.monotonic() + ARRIVAL_TIMEOUT_S
        while time.monotonic() < give_up_s:
            for mail in reversed(self.mails):
                if subject in mail["Subject"]:
                    return mail
            time.sleep(0.05)
        raise AssertionError(f"no mail on {subject!r}, only {[m['Subject'] for m in self.mails]}")

    def link(self, subject: str) -> str:
        """In the newest mail with this subject."""
        found = re.search(r"http://\S+", self.wait_for(subject).get_content())
        assert found
        return found[0]


@contextmanager
def mail_server(port: int) -> Iterator[Letterbox]:
    box = Letterbox()
    smtp = Controller(box, hostname="127.0.0.1", port=port)
    smtp.start()
    try:
        yield box
    finally:
        smtp.stop()
