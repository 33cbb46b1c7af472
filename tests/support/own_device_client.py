"""A student's own device before the real consumer."""

from __future__ import annotations

from django.conf import settings

from roster.models import ClassSession
from tests.support.kiosk_client import KioskClient, _Communicator


class OwnDeviceClient(KioskClient):
    """One connection with the session cookie of somebody who is logged in."""

    def __init__(
        self,
        session: ClassSession,
        cookie: str,
        *,
        origin: str = "http://testserver",
        address: str = "10.1.2.3",
        forwarded: str = "",
    ) -> None:
        from attendance_site.asgi import application

        super().__init__()
        headers = [
            (b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()),
            (b"origin", origin.encode()),
            (b"host", b"testserver"),
        ]
        if forwarded:
            headers.append((b"x-forwarded-for", forwarded.encode()))
        self._socket = _Communicator(application, f"/ws/check-in/{session.pk}/", headers=headers)
        self._socket.scope["client"] = [address, 50000]
