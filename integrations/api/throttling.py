"""How often a client may call within a minute, counted in the cache that all servers share."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.client_address import client_address

WINDOW_S = 60


class PerClient(BaseThrottle):
    """One counter for each client and minute: one increment, where a list would grow."""

    def allow_request(self, request: Request, view: Any) -> bool:
        now_s = time.time()
        window, into_window_s = divmod(now_s, WINDOW_S)
        self._wait_s = WINDOW_S - into_window_s
        counter = f"api-requests-{_who(request)}-{int(window)}"
        cache.add(counter, 0, 2 * WINDOW_S)
        try:
            used = cache.incr(counter)
        except ValueError:  # the cache was emptied between the two lines
            return True
        return used <= settings.API_REQUESTS_PER_MINUTE

    def wait(self) -> float:
        return self._wait_s


def _who(request: Request) -> str:
    if request.auth is not None:
        return str(request.auth.key)
    return f"address:{client_address(request._request)}"
