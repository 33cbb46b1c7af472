"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(happened: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < give_up_s, "waited in vain"
        time.sleep(0.1)
