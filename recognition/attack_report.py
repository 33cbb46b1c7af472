"""What came out of simulated attacks: rates with intervals, as text, figures and a page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from scipy.stats import beta

from recognition.engine.attacks.people import Unsuitable
from recognition.engine.attacks.species import Species
from recognition.engine.attacks.trials import Baselines, Verdict
from recognition.engine.liveness.actions import Level

DISCLAIMER = (
    "These are simulated attacks, made from pictures. The figures compare ways of checking with "
    "each other; they are no ISO/IEC 30107-3 certificate and say nothing of attacks that are not "
    "among them."
)
BLINK_BASELINE = "blink, EAR < 0.2 in 3 frames"
MODEL_BASELINE = "FasNet, 5 frames"
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``of``, with the interval of Clopper & Pearson (1934) for 95 %.

    >>> Rate(0, 150).interval
    (0.0, 0.0243)
    """

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        tail = (1 - _CONFIDENCE) / 2
        missed = self.of - self.count
        low = beta.ppf(tail, self.count, missed + 1) if self.count else 0.0
        high = beta.ppf(1 - tail, self.count + 1, missed) if missed else 1.0
        return round(float(low), 4), round(float(high), 4)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.of} = {self.share:.1%} ({low:.1%} to {high:.1%})"

    def figures(self) -> dict[str, Any]:
        return {"count": self.count, "of": self.of, "rate": self.share, "interval": self.interval}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything about one clip: the verdict at each level, and what the baselines say.

    ``species`` is None for a living person; ``fps`` its camera's frames per second.
    """

    species: Species | None
    person: str
    attacker: str
    seed: int
    fps: float
    verdicts: Mapping[Level, Verdict]
    baselines: Baselines

    def figures(self) -> dict[str, Any]:
        return {
            "species": self.species or "live",
            "person": self.person,
            "attacker": self.attacker,
            "seed": self.seed,
            "fps": self.fps,
            "verdicts": {
                level: {
                    "accepted": verdict.accepted,
                    "reason": verdict.reason,
                    "after_ms": round(verdict.after_ms),
                    "frames": verdict.frames,
                    "trace": dict(verdict.trace),
                }
                for level, verdict in self.verdicts.items()
            },
            "blink_baseline_accepted": self.baselines.blink,
            "model_baseline_accepted": self.baselines.spoof_model,
        }

    @classmethod
    def from_figures(cls, figures: Mapping[str, Any]) -> Self:
        """What `figures` gave."""
        species = figures["species"]
        return cls(
            species=None if species == "live" else Species(species),
            person=figures["person"],
            attacker=figures["attacker"],
            seed=figures["seed"],
            fps=figures["fps"],
            verdicts={
                Level(level): Verdict(**verdict) for level, verdict in figures["verdicts"].items()
            },
            baselines=Baselines(
                blink=figures["blink_baseline_accepted"],
                spoof_model=figures["model_baseline_accepted"],
            ),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of clips under one way of checking.

    ``wrong`` are the accepted ones of a species, APCER, or the refused ones of living people,
    BPCER; ``reasons`` are the refusals', most frequent first.
    """

    kind: str
    check: str
    wrong: Rate
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of one run, and how it was made."""

    outcomes: Sequence[Outcome]
    setting: Mapping[str, Any]
    unsuitable: Mapping[Unsuitable, int]

    def lines(self) -> list[Line]:
        """Of each kind: each level, then each baseline that was there."""
        kinds = [None, *(one for one in Species if any(o.species is one for o in self.outcomes))]
        return [line for kind in kinds for line in self._of_kind(kind)]

    def text(self) -> str:
        head = [f"{name}: {value}" for name, value in self.setting.items()]
        unsuitable = ", ".join(f"{count} {why}" for why, count in self.unsuitable.items())
        head.append(f"pictures left out: {unsuitable or 'none'}")
        return "\n".join([*head, "", *self._table(), "", DISCLAIMER])

    def figures(self) -> dict[str, Any]:
        return {
            "disclaimer": DISCLAIMER,
            "setting": dict(self.setting),
            "pictures_left_out": dict(self.unsuitable),
            "rates": [
                {
                    "kind": line.kind,
                    "check": line.check,
                    "error": "BPCER" if line.kind == "live" else "APCER",
                    **line.wrong.figures(),
                    "reasons": dict(line.reasons),
                }
                for line in self.lines()
            ],
            "clips": [outcome.figures() for outcome in self.outcomes],
        }

    def page(self) -> str:
        """A page of its own: no scripts, nothing from elsewhere."""
        setting = {**self.setting, "pictures left out": dict(self.unsuitable)}
        described = "".join(
            f"<dt>{_escaped(name)}</dt><dd>{_escaped(value)}</dd>"
            for name, value in setting.items()
        )
        rows = "".join(_row(line) for line in self.lines())
        return _PAGE.format(disclaimer=_escaped(DISCLAIMER), setting=described, rows=rows)

    def _of_kind(self, species: Species | None) -> Iterable[Line]:
        outcomes = [one for one in self.outcomes if one.species is species]
        kind = species.value if species else "live"
        for level in dict.fromkeys(level for one in outcomes for level in one.verdicts):
            verdicts = [one.verdicts[level] for one in outcomes]
            reasons = Counter(one.reason for one in verdicts if one.reason)
            accepted = [one.accepted for one in verdicts]
            yield Line(kind, level, _wrong(accepted, species), tuple(reasons.most_common()))
        baselines: list[tuple[str, Callable[[Baselines], bool | None]]] = [
            (BLINK_BASELINE, lambda baselines: baselines.blink),
            (MODEL_BASELINE, lambda baselines: baselines.spoof_model),
        ]
        for check, said in baselines:
            answers = [said(one.baselines) for one in outcomes]
            known = [answer for answer in answers if answer is not None]
            if known:
                yield Line(kind, check, _wrong(known, species))

    def _table(self) -> Iterable[str]:
        for line in self.lines():
            error = "BPCER" if line.kind == "live" else "APCER"
            yield f"{line.kind:<18} {line.check:<29} {error} {line.wrong}"
            if line.reasons:
                told = ", ".join(f"{reason} {count}" for reason, count in line.reasons)
                yield f"{'':<18} refused by: {told}"


def _wrong(accepted: Sequence[bool], species: Species | None) -> Rate:
    wrong = sum(accepted) if species else len(accepted) - sum(accepted)
    return Rate(wrong, len(accepted))


def _escaped(value: object) -> str:
    return html.escape(str(value))


def _row(line: Line) -> str:
    low, high = line.wrong.interval
    cells = [
        line.kind,
        line.check,
        "BPCER" if line.kind == "live" else "APCER",
        f"{line.wrong.count} of {line.wrong.of}",
        f"{line.wrong.share:.1%}",
        f"{low:.1%} – {high:.1%}",
        ", ".join(f"{reason} {count}" for reason, count in line.reasons),
    ]
    return "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in cells) + "</tr>"


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated attacks on the proof of life</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top; }}
td:nth-child(n+4):nth-child(-n+6) {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
dt {{ font-weight: 600; }}
</style>
</head>
<body>
<h1>Simulated attacks on the proof of life</h1>
<p>{disclaimer}</p>
<table>
<thead><tr><th>Kind of clip</th><th>Check</th><th>Error</th><th>Clips</th><th>Rate</th>
<th>95 % interval</th><th>Refused by</th></tr></thead>
<tbody>{rows}</tbody>
</table>
<h2>How it was measured</h2>
<dl>{setting}</dl>
</body>
</html>
"""
