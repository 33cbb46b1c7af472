"""A live page's socket, without a browser."""

from __future__ import annotations

from django.conf import settings

from roster.models import ClassSession
from tests.support.kiosk_client import KioskClient, _Communicator


class LiveClient(KioskClient):
    """One connection with the session cookie of somebody who is logged in."""

    def __init__(
        self, session: ClassSession, cookie: str, *, origin: str = "http://testserver"
    ) -> None:
        from attendance_site.asgi import application

        super().__init__()
        headers = [
            (b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()),
            (b"origin", origin.encode()),
            (b"host", b"testserver"),
        ]
        self._socket = _Communicator(application, f"/ws/live/{session.pk}/", headers=headers)
