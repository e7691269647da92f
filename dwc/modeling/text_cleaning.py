"""Cleaning of texts that people type, and OpenAI's text cleaning for CLIP.

Texts that people type contain kinds of spaces, letters and punctuation that occur in no training
caption. `clean_typed_text` replaces them with plain equivalents before the tokenizers get the text.
Training captions are not cleaned this way, since the model was trained on them as they are.
"""

import html
import html.entities
import logging
import re
import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dwc.negation import spell_out_negations

_ZERO_WIDTH_SPACES = "\u200b\u180e\u2800"
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘‛ʼ′`´", "'"))
_QUOTES = _APOSTROPHES | str.maketrans(
    {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "″": '"'}
    | {"‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-"}
    | {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l"}
    | {"Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "þ": "th", "ı": "i", "⁄": "/"}
)
_ENTITY = re.compile(r"&(?:#\d+|#[xX][\da-fA-F]+|[a-zA-Z][a-zA-Z\d]*);")
_WORD = re.compile(r"\S+")
_JOINT = re.compile(r"(?<=\w)(?<!_)(?:[^\w\s']+|_+)(?=\w)")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SHORTEST_PART = 3  # fewest letters of each word when "reddress" is split into two words
_LONGEST_QUOTE = 120  # most characters of a text that is quoted in a message
# When joined words are separated, these characters between them are kept and followed by a space;
# others are replaced with a space.
_SPACED_JOINTS = ",;:/|&+"

# English words without content of their own. Some also occur in other languages, so they do not
# show that a text is English.
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
    """A text that a person typed, after cleaning, with the words that were removed from it.

    Attributes:
        text: The cleaned text, before the caption template is applied. Empty if the model cannot
            use the text.
        typed: The text as typed.
        cut: The end of the cleaned text that was cut off because the text was too long; empty if
            nothing was cut.
        unreadable: All words of the text if the model cannot use the text because none of its
            content words is in the vocabulary; otherwise empty.
        max_tokens: Maximum number of CLIP tokens of a text; None without a CLIP tokenizer.
    """

    text: str
    typed: str = ""
    cut: str = ""
    unreadable: tuple[str, ...] = ()
    max_tokens: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages that tell the user which part of the text was ignored, and why."""
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
    """Clean a text that a person typed.

    - HTML entities that end in a semicolon are decoded (`&amp;` becomes `&`); `&not` stays.
    - Each run of white space becomes one space, and invisible characters are removed.
    - Full-width and other compatibility letters become plain letters, accents are removed (`café`
      becomes `cafe`), and typographic quotes and dashes become ASCII.
    - Words joined with punctuation (`red/dress`) or without (`RedDress`, `reddress`) are separated
      if the vocabulary contains the single words but not the joined word. With punctuation, one
      of the single words in the vocabulary is enough.
    - A leading minus becomes a word (`-stripes` becomes `without stripes`), because the word
      tokenizer would delete the minus and so reverse the meaning. Other short forms of negations
      are spelled out, too; see `spell_out_negations`.

    Args:
        text: The text as typed.
        is_known: Function that tells whether a word, without its punctuation, is in the model's
            vocabulary. If None (the model has no vocabulary), joined words are not separated.

    Returns:
        The cleaned text, without spaces at its ends.
    """
    text = _ENTITY.sub(lambda match: _decode_entity(match[0]), text)
    lines = [
        "".join(" " if _is_space(char) else char for char in _INVISIBLE.sub("", line))
        for line in text.splitlines()
    ]
    # Before line breaks and the kinds of dashes are lost, which tell a list or a dash from a minus.
    text = spell_out_negations("\n".join(lines).translate(_APOSTROPHES))
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    text = _strip_accents(text.translate(_QUOTES))
    text = " ".join(text.split())
    if is_known is None:
        return text
    return " ".join(_WORD.sub(lambda match: _separate(match[0], is_known), text).split())


def clean_as_openai(text: str) -> str:
    """Clean a text as OpenAI's `clip.tokenize` does.

    Repair the encoding with the package ftfy, unescape HTML entities twice, and replace each run of
    white space with one space. If ftfy is not installed, the encoding is not repaired; a warning is
    logged once, at the first text with characters outside ASCII.
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


def _decode_entity(entity: str) -> str:
    """Return the character of an HTML entity such as `&amp;`, or an unknown entity unchanged.

    `html.unescape` would also decode the beginning of an unknown entity: `&notched;` to `¬ched;`.
    """
    is_known = entity.startswith("&#") or entity[1:] in html.entities.html5
    return html.unescape(entity) if is_known else entity


def _is_space(char: str) -> bool:
    return char.isspace() or char in _ZERO_WIDTH_SPACES or unicodedata.category(char) == "Cc"


def _strip_accents(text: str) -> str:
    """Return a text without accents on Latin letters; other scripts are unchanged."""
    kept = []
    for char in text:
        base = unicodedata.normalize("NFD", char)[0]
        kept.append(base if base.isascii() and base.isalpha() else char)
    return "".join(kept)


def _separate(word: str, is_known: Callable[[str], bool]) -> str:
    """Separate joined words, such as `reddress` into `red dress`; return other words unchanged.

    A word in the vocabulary is not separated. Otherwise, words joined with punctuation are
    separated if one of them is in the vocabulary, and words joined without punctuation if all are.

    Args:
        word: The word.
        is_known: Function that tells whether a word is in the vocabulary.
    """
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
