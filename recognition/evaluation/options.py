"""What can be chosen of a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recognition.evaluation.faces import Say

Figures = dict[str, Any]

FPIRS = (0.01, 0.003, 0.001)
RESAMPLES = 300


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes of the galleries, pictures per template, draws, and from which seed.

    ``groups`` says to which group a person belongs, for rates by group.
    """

    sizes: Sequence[int] = (30,)
    enrol: int = 3
    draws: int = 50
    seed: int = 1
    groups: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """One question: how it is asked on the command line, measured and put into words.

    ``measure`` gets the pictures of each person.
    """

    name: str
    help: str
    measure: Callable[[Mapping[str, Sequence[Path]], Options, Say], list[Figures]]
    lines: Callable[[Figures], Iterable[str]]
