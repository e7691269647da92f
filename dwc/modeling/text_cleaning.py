"""Cleaning of texts: what people type, before both tokenizers, and OpenAI's cleaning for CLIP.

What is typed has spaces, letters and punctuation that no training caption has. `clean_typed_text`
makes of them what a person means; the result goes to both tokenizers. Training captions are never
cleaned that way: a model reads them as its training did.
"""

import html
import logging
import re
import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dwc.negation import spell_out_minus

_ZERO_WIDTH_SPACES = "\u200b\u180e\u2800"
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "‛": "'", "ʼ": "'", "′": "'", "`": "'", "´": "'"}
    | {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "″": '"'}
    | {"‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-"}
    | {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l"}
    | {"Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ı": "i", "⁄": "/"}
)
_WORD = re.compile(r"\S+")
_JOINT = re.compile(r"(?<=\w)(?<!_)(?:[^\w\s']+|_+)(?=\w)")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SHORTEST_PART = 3  # letters of a word that is joined to another without a sign
_LONGEST_QUOTE = 120  # characters
_SPACED_JOINTS = ",;:/|&+"  # stay, with a space behind; others become a space

# English words that carry no content by themselves; German and others share some of them.
FUNCTION_WORDS = frozenset(
    {"a", "an", "the", "this", "that", "these", "those", "it", "its", "is", "are", "was", "were"}
    | {"be", "been", "has", "have", "had", "do", "does", "did", "with", "without", "of", "in", "on"}
    | {"at", "to", "from", "for", "by", "as", "and", "or", "but", "not", "no", "nor", "than"}
    | {"more", "less", "most", "least", "very", "much", "so", "too", "also", "only", "just"}
    | {"instead", "rather", "like", "same", "other", "another", "one", "i", "you", "he", "she"}
    | {"we", "they", "me", "him", "her", "us", "them", "my", "your", "his", "our", "their", "some"}
    | {"any", "all", "each", "both", "please", "want", "would", "should", "could", "can", "will"}
    | {"there", "here", "what", "which", "who", "how"}
)

_log = logging.getLogger(__name__)


class TypedText(NamedTuple):
    """What a model reads of a typed text.

    Attributes:
        text: The clean text before the caption template; empty where no word is readable.
        typed: The text as typed.
        cut: The end that was left out, since the model reads no more; empty mostly.
        unreadable: The words of a text without a single readable one; empty mostly.
        max_tokens: The most CLIP tokens that the model reads; None without CLIP.
    """

    text: str
    typed: str = ""
    cut: str = ""
    unreadable: tuple[str, ...] = ()
    max_tokens: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the person who typed the text: what was not read, and why."""
        if self.unreadable:
            words = ", ".join(self.unreadable[:12])
            return (
                f"No word of the text is known to this model, which reads English ({words}). The "
                "answer is by the picture alone.",
            )
        if self.cut:
            return (
                f"Only the beginning of the text was read, up to “{_last_words(self.text)}”: this "
                f"model reads at most {self.max_tokens} tokens. Not read: “{_abridge(self.cut)}”",
            )
        return ()


def _last_words(text: str) -> str:
    words = text.split()
    return ("… " if len(words) > 3 else "") + _abridge(" ".join(words[-3:]))


def _abridge(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def clean_typed_text(text: str, is_known: Callable[[str], bool] | None = None) -> str:
    """Clean what a person typed.

    Every kind of space becomes one space, and invisible characters go. Full-width and other
    compatibility letters become plain ones, accents go (`café` becomes `cafe`), typographic quotes
    and dashes become ASCII. Words joined by punctuation (`red/dress`) or by nothing (`RedDress`,
    `reddress`) are separated where the vocabulary has the parts and not the joined word. A leading
    minus becomes a word (`-stripes` becomes `without stripes`): the word tokenizer deletes it,
    which means the opposite.

    Args:
        text: The text.
        is_known: Whether a word is in the model's vocabulary, punctuation deleted; None without
            one, which leaves joined words.

    Returns:
        The clean text, without spaces at its ends.
    """
    text = html.unescape(text)
    text = "".join(" " if _is_space(char) else char for char in text)
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text.translate(_QUOTES)))
    text = _strip_accents(text.translate(_QUOTES))
    text = spell_out_minus(" ".join(text.split()))
    if is_known is None:
        return text
    return " ".join(_WORD.sub(lambda match: _separate(match[0], is_known), text).split())


def clean_as_openai(text: str) -> str:
    """Clean a text as OpenAI's `clip.tokenize` does: ftfy, HTML entities twice, white space.

    Without ftfy a text outside ASCII cannot be cleaned so, which is logged once.
    """
    if not text.isascii():
        fix_text = _find_ftfy()
        text = text if fix_text is None else fix_text(text)
    text = html.unescape(html.unescape(text))
    return " ".join(text.split())


@lru_cache(maxsize=1)
def _find_ftfy() -> Callable[[str], str] | None:
    try:
        from ftfy import fix_text
    except ImportError:
        _log.warning(
            "This model was trained on texts cleaned by ftfy, which is not installed: typographic "
            "signs and broken encodings are read differently than in training. Install it: "
            "pip install 'dwc[convert]'"
        )
        return None
    return fix_text


def _is_space(char: str) -> bool:
    return char.isspace() or char in _ZERO_WIDTH_SPACES or unicodedata.category(char) == "Cc"


def _strip_accents(text: str) -> str:
    """Remove the accents of Latin letters; other scripts need their marks."""
    kept = []
    for char in text:
        base = unicodedata.normalize("NFD", char)[0]
        kept.append(base if base.isascii() and base.isalpha() else char)
    return "".join(kept)


def _separate(word: str, is_known: Callable[[str], bool]) -> str:
    """Separate joined words where the parts are known and the joined word is not."""
    if is_known(word):
        return word
    parts = _JOINT.split(word)
    if len(parts) > 1 and any(map(is_known, parts)):
        return _JOINT.sub(
            lambda match: f"{match[0]} " if match[0][0] in _SPACED_JOINTS else " ", word
        )
    parts = _CAMEL_CASE.split(word)
    if len(parts) > 1 and all(map(is_known, parts)):
        return " ".join(parts)
    letters = word.strip(string.punctuation)
    if letters.isalpha():
        cuts = range(_SHORTEST_PART, len(letters) - _SHORTEST_PART + 1)
        pairs = [(letters[:cut], letters[cut:]) for cut in cuts]
        known = [pair for pair in pairs if is_known(pair[0]) and is_known(pair[1])]
        if len(known) == 1:
            return word.replace(letters, " ".join(known[0]))
    return word
