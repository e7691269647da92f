"""Conversion of texts and JSON values for output on a terminal.

The converted text has no control characters except line ends. JSON text has only characters that
the encoding of the output can represent.
"""

import json
import re
import sys
from typing import Any

from dwc.datasets.image_kinds import printable

# Control characters, which a terminal interprets, and characters that change text direction.
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable_lines(text: str) -> str:
    """Return a text with its control characters escaped, except line ends.

    File names may contain control characters, which a terminal would interpret.
    """
    return "\n".join(map(printable, text.split("\n")))


def json_text(content: Any, encoding: str | None = None) -> str:
    r"""Return a value as JSON that an encoding can represent, without control characters.

    Letters are not escaped if the encoding has all of them. Otherwise all characters beyond ASCII
    are written as \uXXXX, which every JSON parser decodes.

    Args:
        content: The JSON-compatible value.
        encoding: The encoding of the output; by default that of stdout.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding or getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, indent=2, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
