"""The pictures of a report, drawn with matplotlib from what the report holds.

Colours are Okabe and Ito's ("Color Universal Design", 2008), which colour-blind readers can tell apart; lines also
differ in their dashes. Each picture is drawn twice: with its charts side by side, and stacked for a phone.
The SVGs follow the reader's dark mode.
"""

import io
import re
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from pipeline.evaluation.report import EvaluationReport

_BASELINE, _MODEL, _DUPLICATES, _OTHERS, _GUIDE = "#767676", "#0072B2", "#D55E00", "#3B3B3B", "#8C8C8C"
_DARK = {
    "#ffffff": "#0d1117",
    "#000000": "#e6edf3",
    "#eeeeee": "#2a313a",
    _BASELINE: "#a4adb7",
    _MODEL: "#56b4e9",
    _DUPLICATES: "#ff9a57",
    _OTHERS: "#d6dce2",
    _GUIDE: "#858e98",
}
"""Each colour in dark mode; the first is the background."""

_CURVE_POINTS = 400
"""Points of a drawn curve: more would not be visible."""

_STYLE: Any = {
    "svg.fonttype": "none",
    # The same report gives the same bytes.
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class _Layout:
    """How the charts of a picture are laid out.

    Attributes:
        width: of the picture, in inches.
        is_narrow: whether the charts are stacked rather than side by side.
    """

    width: float
    is_narrow: bool

    def axes(self, charts: int, height: float) -> tuple[Figure, list[Axes]]:
        """Make a figure with a number of charts, each of this height in inches."""
        # Without pyplot, which would keep every figure alive.
        rows, columns = (charts, 1) if self.is_narrow else (1, charts)
        figure = Figure(figsize=(self.width, height * rows), layout=ConstrainedLayoutEngine(hspace=0.06))
        return figure, list(np.ravel(figure.subplots(rows, columns)))


_WIDE, _NARROW = _Layout(9.6, is_narrow=False), _Layout(3.9, is_narrow=True)


@dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        name: its file name without the ending.
        caption: what it shows.
        alt: what a reader would see in it, in words and figures.
        svg: as a vector graphic.
        narrow_svg: the same for a narrow screen.
        figure: of `svg`.
    """

    name: str
    caption: str
    alt: str
    svg: str
    narrow_svg: str
    figure: Figure

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG with few colours, because it is stored with each run."""
        rendered, reduced = io.BytesIO(), io.BytesIO()
        with mpl.rc_context(_STYLE):
            self.figure.savefig(rendered, format="png", dpi=110)
        with Image.open(rendered) as image:
            image.convert("RGB").quantize(64).save(reduced, format="PNG", optimize=True)
        return reduced.getvalue()


_last_drawn: tuple["weakref.ref[EvaluationReport]", list[Picture]] | None = None


def pictures(report: EvaluationReport) -> list[Picture]:
    """Draw all pictures that the report has data for.

    Those of the last report are cached, because a step shows, publishes and stores the same report.
    """
    global _last_drawn
    if _last_drawn is None or _last_drawn[0]() is not report:
        _last_drawn = weakref.ref(report), list(_draw(report))
    return _last_drawn[1]


def _draw(report: EvaluationReport) -> Iterator[Picture]:
    with mpl.rc_context(_STYLE):
        yield _curves(report)
        yield _scores(report)
        if report.calibration:
            yield _reliability(report)
        if any(part.ap for part in report.slices):
            yield _slices(report)
        if report.training and (report.training.losses or report.training.dev_evaluations):
            yield _training(report)


def _picture(name: str, caption: str, alt: str, draw: Callable[[_Layout], Figure]) -> Picture:
    figure, narrow = draw(_WIDE), draw(_NARROW)
    svg, narrow_svg = _svg(figure, caption), _svg(narrow, caption)
    # Freeze the layout, so that the PNG has the same.
    figure.set_layout_engine("none")
    return Picture(name, caption, alt, svg, narrow_svg, figure)


def _svg(figure: Figure, caption: str) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Title": caption})
    # Insert the rules for dark mode after the opening tag.
    return re.sub(r"<svg [^>]*>", lambda tag: f"{tag[0]}\n <style>{_DARK_RULES}</style>", drawn.getvalue(), count=1)


def _rules() -> Iterator[str]:
    yield f"text {{ fill: {_DARK['#000000']}; }}"
    for light, dark in _DARK.items():
        for kind in ("fill", "stroke"):
            # Matplotlib writes colours into `style` attributes, which only `!important` overrides.
            yield f'[style*="{kind}: {light.lower()}"] {{ {kind}: {dark} !important; }}'


_DARK_RULES = f"@media (prefers-color-scheme: dark) {{ {' '.join(_rules())} }}"


def _shown(report: EvaluationReport) -> list[tuple[EvaluationReport, str, str, str]]:
    """(report, label, colour, dashes) of each model in a picture, with the baseline first."""
    own = (report, "fine-tuned" if report.stage == "post_train" else "base model", _MODEL, "-")
    return [(report.baseline, "baseline", _BASELINE, "--"), own] if report.baseline else [own]


def _of_each(report: EvaluationReport, figure_of: Callable[[EvaluationReport], float]) -> str:
    """Return text such as `baseline 0.63, fine-tuned 0.82`."""
    return ", ".join(f"{label} {figure_of(shown):.4f}" for shown, label, _, _ in _shown(report))


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most `_CURVE_POINTS` points, including both ends."""
    if len(x) <= _CURVE_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, _CURVE_POINTS).round().astype(int))
    return x[kept], y[kept]


def _curves(report: EvaluationReport) -> Picture:
    def draw(layout: _Layout) -> Figure:
        figure, (left, right) = layout.axes(2, 3.3)
        for shown, label, colour, dashes in _shown(report):
            precision, recall, _ = precision_recall_curve(shown.is_duplicate, shown.scores)
            false_rate, true_rate, _ = roc_curve(shown.is_duplicate, shown.scores)
            left.plot(*_thinned(recall, precision), dashes, color=colour, label=f"{label}, AP {shown.cosine.ap:.3f}")
            left.plot(shown.cosine.recall, shown.cosine.precision, "o", color=colour, markersize=5)
            area = f"{label}, area {shown.cosine.roc_auc:.3f}"
            right.plot(*_thinned(false_rate, true_rate), dashes, color=colour, label=area)
        guide: Any = {"color": _GUIDE, "linewidth": 0.8, "linestyle": ":", "label": "random order"}
        left.axhline(report.positive_rate, **guide)
        right.plot([0, 1], [0, 1], **guide)
        left.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall")
        right.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02), title="ROC")
        left.legend(loc="lower left")
        right.legend(loc="lower right")
        return figure

    return _picture(
        "curves",
        "Precision-recall and ROC curves; dots mark the F1 threshold.",
        f"Precision-recall and ROC curves. Average precision: {_of_each(report, lambda r: r.cosine.ap)}. Area under "
        f"the ROC curve: {_of_each(report, lambda r: r.cosine.roc_auc)}.",
        draw,
    )


def _scores(report: EvaluationReport) -> Picture:
    shown = _shown(report)
    everything = np.concatenate([one.scores for one, *_ in shown])
    edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1e-6), 41)

    def draw(layout: _Layout) -> Figure:
        figure, axes = layout.axes(len(shown), 2.8)
        for axis, (one, label, _, _) in zip(axes, shown, strict=True):
            others, _ = np.histogram(one.scores[~one.is_duplicate], edges)
            duplicates, _ = np.histogram(one.scores[one.is_duplicate], edges)
            axis.stairs(duplicates, edges, fill=True, color=_DUPLICATES, alpha=0.55, label="duplicates")
            axis.stairs(others, edges, color=_OTHERS, linewidth=1.3, label="others")
            axis.axvline(one.cosine.f1_threshold, color=_MODEL, linestyle="--", linewidth=1, label="F1 threshold")
            axis.set(xlabel="cosine similarity", ylabel="pairs", title=label)
        # Below the charts, where no bar can be behind it.
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure

    return _picture(
        "scores",
        "Distribution of cosine similarity for each class.",
        "Histograms of cosine similarity for duplicates and other pairs. Mean of the duplicates: "
        f"{_of_each(report, lambda r: float(r.scores[r.is_duplicate].mean()))}; of the others: "
        f"{_of_each(report, lambda r: float(r.scores[~r.is_duplicate].mean()))}. F1 threshold: "
        f"{_of_each(report, lambda r: r.cosine.f1_threshold)}.",
        draw,
    )


def _reliability(report: EvaluationReport) -> Picture:
    def draw(layout: _Layout) -> Figure:
        # The legend has its own axes, next to the chart or below it, where no point can be behind it.
        if layout.is_narrow:
            figure = Figure(figsize=(layout.width, 4.4))
            axis, legend = figure.subplots(2, 1, height_ratios=[5, 1])
        else:
            figure, (axis, legend) = layout.axes(2, 3.0)
        axis.plot([0, 1], [0, 1], color=_GUIDE, linewidth=0.8, linestyle=":", label="perfect calibration")
        for shown, label, colour, dashes in _shown(report):
            if shown.calibration:
                bins = shown.calibration.bins
                axis.plot(
                    [b.probability for b in bins],
                    [b.observed for b in bins],
                    f"o{dashes}",
                    color=colour,
                    markersize=3.5,
                    label=f"{label}, error {shown.calibration.expected_calibration_error:.3f}",
                )
        axis.set(xlabel="probability", ylabel="share of duplicates", xlim=(0, 1), ylim=(0, 1), title="Reliability")
        axis.set_aspect("equal")
        legend.axis("off")
        legend.legend(*axis.get_legend_handles_labels(), loc="center" if layout.is_narrow else "center left")
        return figure

    return _picture(
        "reliability",
        "Calibrated probability and observed share of duplicates, in 15 bins of equal size.",
        "Reliability diagram. Expected calibration error: "
        f"{_of_each(report, lambda r: r.calibration.expected_calibration_error if r.calibration else float('nan'))}.",
        draw,
    )


def _slices(report: EvaluationReport) -> Picture:
    parts = [part for part in report.slices if part.ap]
    shown = _shown(report)

    def draw(layout: _Layout) -> Figure:
        # On a narrow screen the names are above the bars, as there is no room next to them.
        row = 0.38 if layout.is_narrow else 0.21
        # From the top down.
        places = {(part.name, part.value): -number for number, part in enumerate(parts)}
        names = [f"{part.name}: {part.value}  ({part.pairs:,})" for part in parts]
        figure, (axis,) = layout.axes(1, 1.1 + row * len(parts))
        for place, (one, label, colour, _) in enumerate(shown):
            there = [part for part in one.slices if part.ap and (part.name, part.value) in places]
            aps = [part.ap for part in there if part.ap]
            axis.errorbar(
                [ap.estimate for ap in aps],
                # Side by side, the baseline above.
                [places[part.name, part.value] + 0.13 * (len(shown) - 1 - 2 * place) for part in there],
                xerr=np.array([[ap.estimate - ap.low for ap in aps], [ap.high - ap.estimate for ap in aps]]),
                fmt="s" if one is report.baseline else "o",
                color=colour,
                markersize=3.5,
                linewidth=1.1,
                label=label,
            )
        axis.scatter(
            [part.positive_rate for part in parts],
            list(places.values()),
            marker="|",
            color=_DUPLICATES,
            s=40,
            label="share of duplicates",
        )
        if layout.is_narrow:
            axis.set_yticks([])
            for name, place in zip(names, places.values(), strict=True):
                axis.text(0, place + 0.26, name, fontsize=7.5, va="bottom")
        else:
            axis.set_yticks(list(places.values()), names)
        axis.set(xlabel="average precision, with 95 % interval", xlim=(0, 1.01), ylim=(0.4 - len(parts), 0.9))
        axis.grid(axis="x" if layout.is_narrow else "y", color="#eeeeee")
        axis.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2 if layout.is_narrow else 3)
        return figure

    ranked = sorted(parts, key=lambda part: part.ap.estimate if part.ap else 0.0)
    low, high = ranked[0], ranked[-1]
    return _picture(
        "slices",
        "Average precision of each slice; in brackets, its number of pairs.",
        f"Average precision per slice with intervals. Lowest: {low.name}, {low.value}: {low.ap}. Highest: {high.name}, "
        f"{high.value}: {high.ap}.",
        draw,
    )


def _training(report: EvaluationReport) -> Picture:
    training = report.training
    assert training is not None
    steps = [evaluation.step for evaluation in training.dev_evaluations]
    aps = [evaluation.average_precision for evaluation in training.dev_evaluations]

    def draw(layout: _Layout) -> Figure:
        figure, (left, right) = layout.axes(2, 2.8)
        left.plot([step for step, _ in training.losses], [loss for _, loss in training.losses], color=_MODEL)
        left.set(xlabel="step", ylabel="loss", title="Training loss")
        right.plot(steps, aps, "o-", color=_MODEL, markersize=3.5)
        right.set(xlabel="step", ylabel="average precision", title="On the dev split")
        if aps:
            right.axvline(training.kept_step, color=_GUIDE, linewidth=0.8, linestyle=":", label="kept")
            right.legend(loc="lower right")
        else:
            right.text(0.5, 0.5, "no dev split", ha="center", transform=right.transAxes)
        return figure

    losses = (
        f"Loss from {training.losses[0][1]:.3f} at step {training.losses[0][0]:,} to {training.losses[-1][1]:.3f} at "
        f"step {training.losses[-1][0]:,}. "
        if training.losses
        else ""
    )
    dev = f"Dev average precision from {aps[0]:.4f} to {max(aps):.4f} at best." if aps else "No dev split."
    return _picture("training", "Training loss and dev average precision by step.", losses + dev, draw)
