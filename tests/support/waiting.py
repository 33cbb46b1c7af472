"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(happened: Callable[[], bool], *, within_s: float = 60) -> None:
    give_up_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < give_up_s, "waited in vain"
        time.sleep(0.1)
