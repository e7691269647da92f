"""Formatting of numbers, texts and messages for the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape as escape_html

STREAM_NAMES = {"clip": "CLIP", "cnn": "CNN"}
MODALITY_NAMES = {"image": "picture", "text": "words", "joint": "both together"}


def escape(text: object) -> str:
    """Escape a text for use inside an HTML element or a quoted attribute.

    Python represents invalid bytes in file names as surrogate characters, which UTF-8 cannot
    encode. These characters are replaced by backslash escapes.
    """
    encodable = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return escape_html(encodable, quote=True)


def render_error(message: str) -> str:
    """Return the HTML of an error message; empty if the message is empty."""
    return f'<p class="trouble" role="alert">{escape(message)}</p>' if message else ""


def render_hint(text: str) -> str:
    """Return the HTML of a hint: a paragraph in small type."""
    return f'<p class="hint">{escape(text)}</p>'


def render_unknown_words(words: Sequence[str]) -> str:
    """Return the HTML of a message that lists words which the model does not know.

    The result is empty if there are no such words.
    """
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
    """Return a stream's display name: CLIP and CNN in capitals, any other name unchanged."""
    return STREAM_NAMES.get(stream, stream)


def format_part(part: str) -> str:
    """Return the display name of a part of a score: `picture, CLIP stream` for `clip_image`."""
    stream, _, modality = part.rpartition("_")
    return f"{MODALITY_NAMES.get(modality, modality)}, {format_stream(stream)} stream"


def weight_in_words(image_weight: float) -> str:
    """Describe an image weight in words that complete a sentence such as "This search listens …".

    Examples: "only to the words" for 0, "to both alike" for 0.5, "only to the picture" for 1.
    """
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
    """Return the image weight and the text weight in percent, as integers that sum to 100.

    The values 0 and 100 occur only if the image weight is exactly 0 or 1.
    """
    picture = round(100 * image_weight)
    if 0 < image_weight < 1:
        picture = min(max(picture, 1), 99)
    return picture, 100 - picture


def format_percentile(percentile: float) -> str:
    """Format a percentile (0 to 100) as in `above 99.7 %`, rounded down to one decimal place."""
    floored = math.floor(percentile * 10 + 1e-9) / 10
    return f"above {floored:g} %"


def round_to_sum(values: Sequence[float], total: float, digits: int = 2) -> list[float]:
    """Round values to `digits` decimal places so that they add up to the rounded total.

    First all values are rounded down. Then the values with the largest rounding errors are raised
    by one unit of the last decimal place, until the sum is right.

    Args:
        values: The values.
        total: The sum of the values.
        digits: The number of decimal places.
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
    """Format a number with two decimals and, if it is negative, a typographic minus sign.

    A number that rounds to zero has no sign.
    """
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


def format_count(number: int) -> str:
    """Format a count with commas as thousands separators."""
    return f"{number:,}"


def format_timing(timings_ms: Mapping[str, float], gallery_size: int) -> str:
    """Format a gallery's size and a search's duration, as in `2,000 pictures · 19 ms`.

    Args:
        timings_ms: The durations of the search's steps in milliseconds, by name. The entry `total`
            is the duration of the search; if it is missing, the durations of the steps are added
            up.
        gallery_size: The number of images in the gallery.
    """
    total = timings_ms.get("total", sum(timings_ms.values()))
    duration = f"{total:.0f} ms" if total < 1000 else f"{total / 1000:.1f} s"
    return f"{format_count(gallery_size)} pictures · {duration}"


def on_load(function: str, *events: str) -> str:
    """Return JavaScript that connects an HTML element to a function of the scripts in `static/`.

    Gradio runs the JavaScript when the browser has inserted the element into the page. The function
    is called once and can then trigger events of the element at any time. While an event is being
    handled, further events with the same name wait. Afterwards, only the latest of these events is
    sent (see `static/events.js`).

    Args:
        function: The function with its namespace, such as `dwcPanels.examples`.
        events: The names of the events that the function may trigger. The returned code contains
            each name in quotes, because Gradio detects an element's events by their quoted names.
    """
    names = "".join(f", '{event}'" for event in events)
    gated = "window.dwcEvents.gate(element.closest('.block').id, trigger)"
    # Gradio puts the id of a component on its block, not on the element itself.
    return f"window.{function}({{element, trigger: {gated}, watch, props}}{names});"
