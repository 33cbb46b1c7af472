"""The figures as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from recognition.evaluation.curves import det_svg, roc_svg
from recognition.evaluation.options import Figures


def report_html(
    results: Sequence[Figures],
    lines: Callable[[Figures], Iterable[str]],
    *,
    source: str,
) -> str:
    """Tables and curves of identification; of other questions, what the command printed."""
    curves = curves_of(results)
    return render_to_string(
        "recognition/evaluation_report.html",
        {
            "source": source,
            "made_at": timezone.localtime(),
            "results": results if curves else [],
            "curves": curves,
            "printed": "" if curves else "\n".join(line for one in results for line in lines(one)),
        },
    )


def curves_of(results: Sequence[Figures]) -> list[SafeString]:
    """DET and ROC of every size of gallery that was measured."""
    rates = {
        _("gallery of %(size)d") % {"size": result["gallery_size"]}: [
            (fpir, fnir)
            for _threshold, fpir, fnir in result["curve_beside_cohort"] or result["curve"]
        ]
        for result in results
        if "curve" in result
    }
    return [det_svg(rates), roc_svg(rates)] if rates else []
