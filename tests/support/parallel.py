"""What test processes that run side by side must not share, set before Django reads it."""

from __future__ import annotations

import os
import re

worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if worker and os.environ.get("REDIS_URL"):
    # Emptying the cache empties its whole database, with the channel layer of the other process.
    os.environ["REDIS_URL"] = re.sub(
        r"(\d+)$", lambda number: str(int(number[0]) - int(worker[2:])), os.environ["REDIS_URL"]
    )
