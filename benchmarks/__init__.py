"""Side-by-side measurements against named peers: ``python -m benchmarks``."""

from __future__ import annotations

import os

# One thread for everybody; these are read when numpy, dlib, OpenCV and ONNX Runtime are imported.
for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
