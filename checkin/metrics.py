"""What Prometheus counts of check-ins, in this process. Labels are closed sets and name nobody."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter(
    "rollcall_frames",
    "Camera frames: answered, replaced by a newer one, or answered with an error.",
    ["outcome"],
)
FRAME_AGE_S = Histogram(
    "rollcall_frame_age_seconds",
    "From a frame's arrival to its answer.",
    buckets=(0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5),
)
WORKER_WAIT_S = Histogram(
    "rollcall_worker_wait_seconds",
    "How long a frame waited for a worker.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
WORKER_SERVICE_S = Histogram(
    "rollcall_worker_service_seconds",
    "How long a worker took for a frame.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
VERDICTS = Counter("rollcall_verdicts", "Ends of check-ins, by outcome.", ["outcome", "device"])
CONNECTIONS = Gauge("rollcall_connections", "Open connections that send frames.", ["device"])

for outcome in ("answered", "skipped", "failed"):
    FRAMES.labels(outcome)
