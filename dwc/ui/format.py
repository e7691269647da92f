"""Formatting of numbers, texts and messages for the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape as escape_html

STREAM_NAMES = {"clip": "CLIP", "cnn": "CNN"}
MODALITY_NAMES = {"image": "picture", "text": "words", "joint": "both together"}


def escape(text: object) -> str:
    """Escape a text for use inside an HTML element or a quoted attribute, and as UTF-8.

    Bytes of a file name that are not valid text are shown as escape sequences.
    """
    encodable = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return escape_html(encodable, quote=True)


def render_error(message: str) -> str:
    """Render an error message; empty for no message."""
    return f'<p class="trouble" role="alert">{escape(message)}</p>' if message else ""


def render_hint(text: str) -> str:
    """Render a sentence in small type."""
    return f'<p class="hint">{escape(text)}</p>'


def render_unknown_words(words: Sequence[str]) -> str:
    """Render the typed words outside the model's vocabulary, struck through; empty for none."""
    if not words:
        return ""
    struck = ", ".join(f"<s>{escape(word)}</s>" for word in words)
    rest = (
        "is not among the words the model learned; it may pass over it"
        if len(words) == 1
        else "are not among the words the model learned; it may pass over them"
    )
    return f'<p class="unknown">{struck} {rest}.</p>'


def format_stream(stream: str) -> str:
    """Return a stream's display name: CLIP and CNN in capitals, any other name as it is."""
    return STREAM_NAMES.get(stream, stream)


def format_part(part: str) -> str:
    """Return a score part's display name, such as `picture, CLIP stream` for `clip_image`."""
    stream, _, modality = part.rpartition("_")
    return f"{MODALITY_NAMES.get(modality, modality)}, {format_stream(stream)} stream"


def weight_in_words(image_weight: float) -> str:
    """Describe a weight in [0, 1], from only the words (0) to only the picture (1)."""
    if image_weight >= 0.995:
        return "only to the picture"
    if image_weight <= 0.005:
        return "only to the words"
    distance = abs(image_weight - 0.5)
    side = "picture" if image_weight > 0.5 else "words"
    if distance < 0.03:
        return "to both alike"
    for limit, degree in ((0.1, "a little more"), (0.25, "clearly more"), (0.4, "mostly")):
        if distance < limit:
            return f"{degree} to the {side}"
    return f"almost only to the {side}"


def percents(image_weight: float) -> tuple[int, int]:
    """Return the image's and the text's share of a weight in whole percent; they sum to 100.

    0 and 100 are returned only for weights of exactly 0 and 1.
    """
    picture = round(100 * image_weight)
    if 0 < image_weight < 1:
        picture = min(max(picture, 1), 99)
    return picture, 100 - picture


def format_percentile(percentile: float) -> str:
    """Format a percentile such as `above 99.7 %`, rounded down so that only 1 becomes 100 %."""
    floored = math.floor(percentile * 10 + 1e-9) / 10
    return f"above {floored:g} %"


def round_to_sum(values: Sequence[float], total: float, digits: int = 2) -> list[float]:
    """Round values so that they add up to the rounded total (largest remainders first).

    Each value changes by less than one unit of the last digit if `total` is their sum.
    """
    scale = 10**digits
    floors = [math.floor(value * scale) for value in values]
    missing = round(total * scale) - sum(floors)
    by_remainder = sorted(
        range(len(values)), key=lambda index: floors[index] - values[index] * scale
    )
    for index in by_remainder[: max(missing, 0)]:
        floors[index] += 1
    return [floor / scale for floor in floors]


def signed(value: float) -> str:
    """Format with two decimals and a true minus sign; zero has no sign."""
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


def format_count(number: int) -> str:
    """Format a count with thousands separators."""
    return f"{number:,}"


def format_timing(timings_ms: Mapping[str, float], gallery_size: int) -> str:
    """Format a gallery size and time, such as `2,000 pictures · 19 ms`.

    The time is the entry for the total if there is one, else the sum of all steps.
    """
    total = timings_ms.get("total", sum(timings_ms.values()))
    duration = f"{total:.0f} ms" if total < 1000 else f"{total / 1000:.1f} s"
    return f"{format_count(gallery_size)} pictures · {duration}"


def on_load(function: str, *events: str) -> str:
    """Return the JavaScript that runs a function of `static/` when an element has been inserted.

    The element's events are sent one of a kind at a time; see `static/events.js`.

    Args:
        function: The function with its namespace, such as `dwcPanels.examples`.
        events: The names of the element's own events. Gradio finds them, quoted, in the call.
    """
    names = "".join(f", '{event}'" for event in events)
    gated = "window.dwcEvents.gate(element.closest('.block').id, trigger)"
    # Gradio puts the id of a component on its block, not on the element itself.
    return f"window.{function}({{element, trigger: {gated}, watch, props}}{names});"
