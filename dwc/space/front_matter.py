"""The front matter of a Space's README.md: YAML that configures the Space on the Hugging Face Hub.

The rules are those of https://huggingface.co/docs/hub/spaces-config-reference.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCard, SpaceHardware

from dwc.errors import SpaceError

COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
"""The colors that a Space's thumbnail may have."""

SHORT_DESCRIPTION_LENGTH = 60
"""The maximum length of a Space's short description, in characters."""

REQUIRED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "app_file", "license")
"""The fields that a Space of this project must have."""

# Documented fields that this project does not set; the others have a rule below.
_OTHER_FIELDS = (
    "suggested_storage",
    "app_build_command",
    "app_port",
    "base_path",
    "fullWidth",
    "header",
    "thumbnail",
    "hf_oauth",
    "hf_oauth_expiration_minutes",
    "hf_oauth_scopes",
    "hf_oauth_authorized_org",
    "disable_embedding",
    "startup_duration_timeout",
    "custom_headers",
)

_HUB_NAME = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"
_PRELOAD = re.compile(rf"{_HUB_NAME}( [^\s,]+(,[^\s,]+)*( [0-9a-f]{{40}})?)?")
_EMOJI_CATEGORIES = ("So", "Sk", "Mn", "Cf")  # symbols, skin tones, variation selectors, joiners


def read_front_matter(readme: Path) -> dict[str, Any]:
    """Return the front matter of a README.md file; an empty dict if there is none.

    Raises:
        SpaceError: The front matter is not valid YAML, or the file cannot be read.
    """
    try:
        return SpaceCard.load(readme).data.to_dict()
    except Exception as error:  # among others the errors of the YAML library
        raise SpaceError(f"{readme}: its front matter cannot be read: {error}") from error


def find_problems(front_matter: Mapping[str, Any], files: Callable[[str], bool]) -> list[str]:
    """Check a Space's front matter against the documented rules of the Hub.

    Args:
        front_matter: The fields.
        files: Function that returns whether the Space has the file of a given path.

    Returns:
        A sentence for each problem; empty if there is none.
    """
    problems = [f"{name} is missing." for name in REQUIRED if name not in front_matter]
    for name, value in front_matter.items():
        if name in _RULES:
            is_valid, expected = _RULES[name]
            if not is_valid(value):
                problems.append(f"{name} is {value!r}; expected: {expected}.")
        elif name not in _OTHER_FIELDS:
            problems.append(f"{name} is no field of a Space; check its spelling.")
    app_file = front_matter.get("app_file")
    if isinstance(app_file, str) and app_file and not files(app_file):
        problems.append(f"app_file is {app_file!r}, and there is no such file.")
    return problems


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_emoji(value: Any) -> bool:
    return _is_text(value) and all(unicodedata.category(c) in _EMOJI_CATEGORIES for c in value)


def _matches(pattern: str | re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_list_of(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_valid, value))


def _is_short(value: Any) -> bool:
    return _is_text(value) and len(value) <= SHORT_DESCRIPTION_LENGTH


_NAMES = (_is_list_of(_matches(_HUB_NAME)), "a list of names on the Hub: owner/name")
_COLOR = (lambda value: value in COLORS, f"one of {', '.join(COLORS)}")

# For each field a function that accepts its valid values, and a description of these values.
_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "title": (_is_text, "a text"),
    "emoji": (_is_emoji, "emoji alone"),
    "colorFrom": _COLOR,
    "colorTo": _COLOR,
    "sdk": (lambda value: value == "gradio", "gradio"),
    "sdk_version": (_matches(r"\d+\.\d+\.\d+"), "a full version of Gradio, such as 6.31.0"),
    # Without quotes, YAML reads 3.10 as the number 3.1.
    "python_version": (_matches(r"3\.\d+(\.\d+)?"), "a version in quotes, such as '3.11'"),
    "app_file": (_is_text, "the path of a file"),
    "pinned": (lambda value: isinstance(value, bool), "true or false"),
    "license": (_matches(r"[a-z0-9][a-z0-9.+-]*"), "the Hub's name of a license"),
    "short_description": (_is_short, f"a text of at most {SHORT_DESCRIPTION_LENGTH} characters"),
    "suggested_hardware": (
        lambda value: value in [hardware.value for hardware in SpaceHardware],
        "a kind of hardware of the Hub, such as cpu-basic",
    ),
    "models": _NAMES,
    "datasets": _NAMES,
    "tags": (_is_list_of(_is_text), "a list of texts"),
    "preload_from_hub": (
        _is_list_of(_matches(_PRELOAD)),
        "a list with items of the form: owner/name file,file commit",
    ),
}
