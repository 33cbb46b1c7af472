"""The last lines of the table of roles: the sockets, which other threads serve."""

from __future__ import annotations

import pytest
from channels.db import database_sync_to_async as in_database
from django.conf import settings

from roster.models import Course
from tests.support.kiosk_client import KioskClient
from tests.support.live_client import LiveClient
from tests.support.own_device_client import OwnDeviceClient
from tests.test_role_table import (
    ALLOWED,
    FOREIGN,
    LECTURER,
    LIVE_SOCKET,
    OWN,
    OWN_DEVICE_SOCKET,
    ROLES,
    SOCKET,
    STUDENT,
    School,
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
async def test_the_socket_opens_to_whom_the_table_says(role):
    client = await in_database(lambda: School().client_of(role))()
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())
    headers = [
        (b"cookie", cookies.encode()),
        (b"origin", b"http://testserver"),
        (b"host", b"testserver"),
    ]
    async with KioskClient(headers=headers) as socket:
        first = await socket.receive()
    assert (first["type"] == "welcome") is ("open" in ALLOWED[SOCKET][role])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("which", [OWN, FOREIGN])
async def test_the_live_socket_opens_to_whom_the_table_says(role, which):
    school = await in_database(School)()
    cookie = school.client_of(role).cookies.get(settings.SESSION_COOKIE_NAME)
    async with LiveClient(school.halves[which].session, cookie.value if cookie else "") as socket:
        first = await socket.receive()
    allowed = "open" in ALLOWED[LIVE_SOCKET][role] and (which == OWN or role != LECTURER)
    assert (first["type"] == "snapshot") is allowed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("which", [OWN, FOREIGN])
async def test_the_own_devices_socket_opens_to_whom_the_table_says(role, which):
    school = await in_database(School)()
    await in_database(Course.objects.update)(own_device=True)
    cookie = school.client_of(role).cookies.get(settings.SESSION_COOKIE_NAME)
    session = school.halves[which].session
    async with OwnDeviceClient(session, cookie.value if cookie else "") as socket:
        first = await socket.receive()
    allowed = "open" in ALLOWED[OWN_DEVICE_SOCKET][role] and (which == OWN or role != STUDENT)
    assert (first["type"] == "welcome") is allowed
