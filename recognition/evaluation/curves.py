"""ROC and DET curves as SVG: no script, no style sheet, readable in light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

#: FPIR and FNIR at one threshold.
Rates = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 44
#: Told apart by their dashes, not by colour: print, and eyes that see none.
DASHES = ("none", "8 4", "2 3", "10 3 2 3", "4 2", "1 4", "12 6")
LEAST_FPIR, LEAST_FNIR = 1e-4, 1e-3


@dataclass(frozen=True, slots=True)
class _Axis:
    """``position`` puts a rate at 0 to 1; ticks are rates."""

    label: str
    ticks: Sequence[float]
    position: Callable[[float], float]


def det_svg(curves: Mapping[str, Rates]) -> SafeString:
    """FNIR against FPIR, both logarithmic: the lower, the better. By name."""
    down = _Axis(_("not found (FNIR)"), (0.001, 0.01, 0.1, 1), _logarithmic(LEAST_FNIR))
    title = _("DET: who is not found against strangers who are let in")
    return _plot(title, _fpir_axis(), down, curves)


def roc_svg(curves: Mapping[str, Rates]) -> SafeString:
    """The share that is found against FPIR: the higher, the better. By name."""
    up = _Axis(_("found (1 - FNIR)"), (0, 0.25, 0.5, 0.75, 1), lambda rate: rate)
    found = {name: [(fpir, 1 - fnir) for fpir, fnir in rates] for name, rates in curves.items()}
    return _plot(_("ROC: who is found against strangers who are let in"), _fpir_axis(), up, found)


def _fpir_axis() -> _Axis:
    label = _("strangers let in (FPIR)")
    return _Axis(label, (0.0001, 0.001, 0.01, 0.1, 1), _logarithmic(LEAST_FPIR))


def _logarithmic(least: float) -> Callable[[float], float]:
    return lambda rate: 1 - math.log10(max(rate, least)) / math.log10(least)


def _x(axis: _Axis, rate: float) -> float:
    return round(LEFT + axis.position(rate) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: _Axis, rate: float) -> float:
    return round(HEIGHT - BOTTOM - axis.position(rate) * (HEIGHT - TOP - BOTTOM), 1)


def _plot(title: str, across: _Axis, upwards: _Axis, curves: Mapping[str, Rates]) -> SafeString:
    return format_html(
        '<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}" fill="none" '
        'stroke="currentColor" font-size="11" font-family="inherit">{}{}{}{}</svg>',
        WIDTH,
        HEIGHT,
        title,
        _grid(across, upwards),
        _labels(across, upwards),
        _lines(across, upwards, curves),
        _legend(list(curves)),
    )


def _grid(across: _Axis, upwards: _Axis) -> SafeString:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    ends: list[tuple[float, float, float, float]] = [
        (_x(across, tick), TOP, _x(across, tick), bottom) for tick in across.ticks
    ]
    ends += [(LEFT, _y(upwards, tick), right, _y(upwards, tick)) for tick in upwards.ticks]
    return format_html_join(
        "", '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke-opacity="0.2"/>', ends
    )


def _labels(across: _Axis, upwards: _Axis) -> SafeString:
    text = '<text x="{}" y="{}" fill="currentColor" stroke="none" text-anchor="{}">{}</text>'
    below = HEIGHT - BOTTOM + 16
    ticks: list[tuple[float, float, str, str]] = [
        (_x(across, tick), below, "middle", f"{tick:.4g}") for tick in across.ticks
    ]
    ticks += [(LEFT - 6, _y(upwards, tick) + 4, "end", f"{tick:.4g}") for tick in upwards.ticks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    named = format_html(
        text + '<text transform="translate(14 {}) rotate(-90)" fill="currentColor" stroke="none" '
        'text-anchor="middle">{}</text>',
        middle,
        HEIGHT - 8,
        "middle",
        across.label,
        (TOP + HEIGHT - BOTTOM) / 2,
        upwards.label,
    )
    return format_html("{}{}", format_html_join("", text, ticks), named)


def _lines(across: _Axis, upwards: _Axis, curves: Mapping[str, Rates]) -> SafeString:
    drawn = (
        (
            " ".join(f"{_x(across, one)},{_y(upwards, other)}" for one, other in rates),
            DASHES[number % len(DASHES)],
        )
        for number, rates in enumerate(curves.values())
    )
    return format_html_join(
        "", '<polyline points="{}" stroke-width="2" stroke-dasharray="{}"/>', drawn
    )


def _legend(names: Sequence[str]) -> SafeString:
    heights = [TOP + 14 + 16 * number for number in range(len(names))]
    lines = format_html_join(
        "",
        '<line x1="{}" y1="{}" x2="{}" y2="{}" stroke-width="2" stroke-dasharray="{}"/>',
        (
            (WIDTH - 150, y - 4, WIDTH - 122, y - 4, DASHES[number % len(DASHES)])
            for number, y in enumerate(heights)
        ),
    )
    words = format_html_join(
        "",
        '<text x="{}" y="{}" fill="currentColor" stroke="none">{}</text>',
        ((WIDTH - 116, y, name) for y, name in zip(heights, names, strict=True)),
    )
    return format_html("{}{}", lines, words)
