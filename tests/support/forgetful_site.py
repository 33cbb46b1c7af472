"""Our site for several tests in turn: on request it forgets what it holds of the test before."""

from __future__ import annotations

from typing import Any

from attendance_site.asgi import application as site

# isort: split
# Models can be imported once the site has set Django up.
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache

from tests.support.live_server import FORGET


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http" or scope["path"] != FORGET:
        await site(scope, receive, send)
        return
    # Emptying the tables gives the content types new numbers.
    ContentType.objects.clear_cache()
    await cache.aclear()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
