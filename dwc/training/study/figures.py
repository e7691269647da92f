"""The study's figures as SVG, in shades of gray, for light and dark backgrounds.

The project uses orange for the image and blue for the text, so the figures avoid both colors. The
tables contain every number of the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from dwc.training.study.variants import OURS

_WIDTH = 720
_ROW = 26
_LETTER = 7.2  # pixels; a little more than the mean width of a letter
_RIGHT = 60  # pixels for the number at the end of a row
_PLOT = 370
_PANEL_HEIGHT = 200

_STYLE = """<style>
svg { --ink: #1e2633; --soft: #566072; --line: #e2e6ec; --ground: #fff;
  background: var(--ground); font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e9edf4; --soft: #a4afc0; --line: #2b3442; --ground: #1a2029; } }
text { fill: var(--ink); }
.soft { fill: var(--soft); }
.grid { stroke: var(--line); }
.whisker { stroke: var(--soft); stroke-width: 2; }
.first { fill: var(--ink); stroke: var(--ink); }
.second { fill: var(--soft); stroke: var(--soft); }
.third { fill: var(--ground); stroke: var(--ink); stroke-width: 2; }
polyline.third { stroke-dasharray: 6 4; }
polyline { fill: none !important; stroke-width: 2; }
.seed { opacity: .45; }
</style>"""


@dataclass(frozen=True)
class PlotRow:
    """Row of a plot that shows the values of a system variant.

    Attributes:
        label: Name of the variant.
        mean: Mean of the values.
        deviation: Standard deviation of the values.
        values: The values, one per seed.
    """

    label: str
    mean: float
    deviation: float
    values: Sequence[float]


@dataclass(frozen=True)
class PlotLine:
    """Line of a plot.

    Attributes:
        name: Name in the legend.
        kind: Style of the line: "first", "second" or "third".
        points: Points (x, y) of the line in order.
    """

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


def draw_figures(summary: Mapping[str, Any]) -> dict[str, str]:
    """Render all figures of a study.

    Args:
        summary: Result of `summarize`.

    Returns:
        File name, such as "dwc.svg" -> content of the SVG file.
    """
    titles = {
        "dwc": "DWC, a part at a time: R@1 in %",
        "combiner": "Ways of combining, one frozen CLIP: R@1 in %",
        "pl": "PL (a reconstruction), a stage at a time: R@1 in %",
    }
    figures = {
        f"{family}.svg": draw_rows(title, _rows(summary["variants"], family))
        for family, title in titles.items()
    }
    figures["noise.svg"] = draw_lines(
        "R@1 in %, by the share of wrong texts in training", "% wrong texts", _noise(summary)
    )
    bins = summary["by_share"]
    figures["share.svg"] = draw_lines(
        "R@1 in %, by the share of the wish that only the picture tells",
        "% that only the picture tells",
        [
            PlotLine("DWC, all parts", "third", _points(bins["dwc"], "recall@1")),
            PlotLine("with our changes", "first", _points(bins[OURS], "recall@1")),
        ],
    )
    for name, recipe in (("dwc", "as in the paper"), (OURS, "with our changes")):
        figures[f"weight_{name}.svg"] = draw_lines(
            f"The picture's weight in %, by the share that only it tells, {recipe}",
            "% that only the picture tells",
            [
                PlotLine("CLIP stream", "first", _points(bins[name], "clip.image_weight_mean")),
                PlotLine("CNN stream", "third", _points(bins[name], "cnn.image_weight_mean")),
            ],
            top=100.0,
        )
    return figures


def _rows(variants: Sequence[Mapping[str, Any]], family: str) -> list[PlotRow]:
    return [
        PlotRow(
            row["label"],
            100 * row["numbers"]["recall@1"]["mean"],
            100 * (row["numbers"]["recall@1"]["deviation"] or 0.0),
            [100 * value for value in row["recall@1_by_seed"]],
        )
        for row in variants
        if family in row["families"]
    ]


def _noise(summary: Mapping[str, Any]) -> list[PlotLine]:
    """Return plot lines of R@1 (recall at 1) in % against the share of wrong texts in %.

    There is one line per training loss: cross entropy with soft labels, cross entropy with hard
    labels, and generalized cross entropy ("doubted"). The line of the soft labels begins with the
    result of the variant "DWC's CLIP stream alone", which is trained with soft labels and no wrong
    texts.
    """
    rows = [row for row in summary["variants"] if "noise" in row["families"]]
    lines = []
    for labels, name, kind in (
        ("soft", "soft labels (SSG)", "first"),
        ("hard", "hard labels", "second"),
        ("doubted", "doubted (ours)", "third"),
    ):
        points = [
            (100 * row["wrong_share"], 100 * row["numbers"]["recall@1"]["mean"])
            for row in rows
            if row["labels"] == labels
        ]
        lines.append(PlotLine(name, kind, sorted(points)))
    return lines


def _points(bins: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [
        (50 * (row["from"] + row["to"]), 100 * row["numbers"][name]["mean"])
        for row in bins
        if name in row["numbers"]
    ]


def draw_rows(title: str, rows: Sequence[PlotRow]) -> str:
    """Render a plot as SVG, with one row per system variant: the mean, the values and a whisker.

    The whisker extends from the mean by one standard deviation to both sides.
    """
    left = round(_LETTER * max(len(row.label) for row in rows)) + 12  # end of the labels
    width = left + _PLOT + _RIGHT
    top = _rounded_up(max(max(row.mean + row.deviation, *row.values) for row in rows))
    height = 40 + _ROW * len(rows) + 26

    def x(value: float) -> float:
        return left + _PLOT * value / top

    parts = [f'<text x="0" y="16" font-weight="650">{escape(title)}</text>']
    parts += [
        f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="30" y2="{height - 24}"/>'
        f'<text class="soft" x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle">'
        f"{tick:g}</text>"
        for tick in _ticks(top)
    ]
    for index, row in enumerate(rows):
        y = 40 + _ROW * index + _ROW / 2
        low, high = x(max(0.0, row.mean - row.deviation)), x(row.mean + row.deviation)
        kind = "first" if index == 0 else "second"
        parts.append(
            f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(row.label)}</text>'
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts += [
            f'<circle class="{kind} seed" cx="{x(value):.1f}" cy="{y:.1f}" r="2.5"/>'
            for value in row.values
        ]
        parts.append(
            f'<circle class="{kind}" cx="{x(row.mean):.1f}" cy="{y:.1f}" r="5"/>'
            f'<text class="soft" x="{width - _RIGHT + 12}" y="{y + 4:.1f}">{row.mean:.1f}</text>'
        )
    return _svg(width, height, title, parts)


def draw_lines(title: str, axis: str, lines: Sequence[PlotLine], top: float | None = None) -> str:
    """Render lines over a common x axis as SVG, with a legend and the values as tooltips.

    Args:
        title: Title of the figure.
        axis: Label of the x axis.
        lines: The lines.
        top: Upper end of the y axis, which starts at 0; by default the largest y value, rounded up.
    """
    points = [point for line in lines for point in line.points]
    top = top or _rounded_up(max((y for _, y in points), default=1.0))
    right = max((x for x, _ in points), default=1.0) or 1.0
    left, width = 44, _WIDTH - 44 - 150
    bottom = 34 + _PANEL_HEIGHT

    def to_pixels(point: tuple[float, float]) -> tuple[float, float]:
        return left + width * point[0] / right, bottom - _PANEL_HEIGHT * point[1] / top

    parts = [f'<text x="0" y="16" font-weight="650">{escape(title)}</text>']
    for tick in _ticks(top):
        _, y = to_pixels((0.0, tick))
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="soft" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for value in sorted({x for x, _ in points}):
        x, _ = to_pixels((value, 0.0))
        at = f'x="{x:.1f}" y="{bottom + 18}"'
        parts.append(f'<text class="soft" {at} text-anchor="middle">{value:g}</text>')
    parts.append(
        f'<text class="soft" x="{left + width / 2:.0f}" y="{bottom + 38}" text-anchor="middle">'
        f"{escape(axis)}</text>"
    )
    for number, line in enumerate(lines):
        if not line.points:
            continue
        drawn = [to_pixels(point) for point in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        for (x, y), (_, value) in zip(drawn, line.points, strict=True):
            parts.append(
                f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{escape(line.name)}: {value:.1f}</title></circle>"
            )
        # Names are stacked so that they do not overlap if lines end close to one another.
        y = 46 + 22 * number
        parts.append(
            f'<circle class="{line.kind}" cx="{left + width + 22}" cy="{y - 4}" r="4"/>'
            f'<text x="{left + width + 32}" y="{y}">{escape(line.name)}</text>'
        )
    return _svg(_WIDTH, bottom + 48, title, parts)


def _ticks(top: float) -> list[float]:
    return [top * part / 5 for part in range(6)]


def _rounded_up(value: float) -> float:
    """Return the upper end of an axis: the smallest positive multiple of 10 not below `value`.

    The ticks divide the axis into five equal parts, so their values are integers.
    """
    return max(10.0, 10.0 * -(-value // 10))


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{escape(title)}">{_STYLE}'
        f"{''.join(parts)}</svg>\n"
    )
