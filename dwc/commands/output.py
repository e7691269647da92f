"""Output text without control codes, in characters that the terminal or pipe can encode."""

import json
import re
import sys
from typing import Any

from dwc.datasets.image_kinds import printable

# Control characters, which a terminal interprets, and characters that change text direction.
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable_lines(text: str) -> str:
    """Escape control characters, for example in file names, except for line ends."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(content: Any, encoding: str | None = None) -> str:
    r"""Standard JSON that an encoding can carry, without control characters.

    Letters stay as they are where the encoding has all of them; otherwise everything beyond ASCII
    is written as \uXXXX, which every reader of JSON decodes.

    Args:
        encoding: by default that of stdout.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding or getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, indent=2, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
