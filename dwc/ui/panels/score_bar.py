"""A score as a bar of its parts: positive parts to the right of zero, negative ones to the left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dwc.ui.format import MODALITY_NAMES, escape, name_part, round_to_sum, signed

# Picture before words, and the CLIP stream before the CNN stream, wherever parts are listed.
PART_ORDER = ("clip_image", "cnn_image", "clip_text", "cnn_text")


@dataclass(frozen=True)
class Scale:
    """What the bars of one answer share, so that they compare: how far any reaches either way.

    `negative` and `positive` are the largest sums of negative (as a positive number) and of
    positive parts among its results.
    """

    negative: float
    positive: float

    @classmethod
    def of(cls, all_parts: Iterable[Mapping[str, float]]) -> "Scale":
        """The scale on which every one of these results fits."""
        listed = list(all_parts)
        negative = max((_sum_negative(parts) for parts in listed), default=0.0)
        positive = max((_sum_positive(parts) for parts in listed), default=0.0)
        return cls(negative, positive)

    def percent(self, value: float) -> float:
        """The width of a value, in percent of the bar."""
        span = self.negative + self.positive
        return 100 * value / span if span > 0 else 0.0


def order_parts(parts: Mapping[str, float]) -> list[str]:
    """The parts' names in the page's order; streams it does not know come last."""
    known = [name for name in PART_ORDER if name in parts]
    return known + [name for name in parts if name not in known]


def render_bar(parts: Mapping[str, float], score: float, scale: Scale) -> str:
    """The bar with its text twin: every part's value is in the page, not only its width."""
    names = order_parts(parts)
    left = [_segment(name, parts[name], scale) for name in names if parts[name] < 0]
    right = [_segment(name, parts[name], scale) for name in names if parts[name] >= 0]
    zero = scale.percent(scale.negative)
    axis = f'<i class="zero" style="left:{zero:.3f}%"></i>' if scale.negative > 0 else ""
    return (
        f'<div class="bar" aria-hidden="true">'
        f'<span class="side negative" style="width:{zero:.3f}%">{"".join(left)}</span>'
        f'<span class="side positive" style="width:{100 - zero:.3f}%">{"".join(right)}</span>'
        f"{axis}</div>{_twin(parts, names, score)}"
    )


def render_legend(part_names: Iterable[str]) -> str:
    """Which colour is which part."""
    items = "".join(
        f'<li><i class="swatch {escape(name)}"></i>{escape(name_part(name))}</li>'
        for name in order_parts(dict.fromkeys(part_names, 0.0))
    )
    return f'<ul class="legend" aria-label="Colours of the bars">{items}</ul>'


def _segment(name: str, value: float, scale: Scale) -> str:
    # Widths are of the side, whose own width is the side's share of the bar.
    side = scale.negative if value < 0 else scale.positive
    width = 100 * abs(value) / side if side > 0 else 0.0
    return (
        f'<i class="part {escape(name)}" data-part="{escape(name)}" data-value="{value:.6f}" '
        f'title="{escape(name_part(name))}: {signed(value)}" style="width:{width:.3f}%"></i>'
    )


def _twin(parts: Mapping[str, float], names: list[str], score: float) -> str:
    rounded = dict(zip(names, round_to_sum([parts[n] for n in names], score), strict=True))
    sums: dict[str, float] = {}
    for name, value in rounded.items():
        modality = name.rpartition("_")[2]
        sums[modality] = sums.get(modality, 0.0) + value
    shown = "".join(
        f'<span class="of-{escape(modality)}">{escape(MODALITY_NAMES.get(modality, modality))} '
        f"{signed(value)}</span>"
        for modality, value in sums.items()
    )
    spoken = "; ".join(f"{name_part(name)} {signed(rounded[name])}" for name in names)
    return f'<p class="split">{shown}<span class="sr-only">Made of {escape(spoken)}.</span></p>'


def _sum_negative(parts: Mapping[str, float]) -> float:
    return -sum(value for value in parts.values() if value < 0)


def _sum_positive(parts: Mapping[str, float]) -> float:
    return sum(value for value in parts.values() if value > 0)
