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
from urllib.parse import unquote_to_bytes

from dwc.negation.garment_words import KINDS
from dwc.negation.spelling import correct_negation, has_ambiguous_list, is_slip, spell_out_negations

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
_PERCENT_ENCODED = re.compile(r"(?=[^%]*%)(?:[!-$&-~]|%[\da-fA-F]{2})+")
_MAX_ENCODINGS = 3
_JOINT = re.compile(r"(?<=\w)(?<!_)(?!(?<=\d)[/.,](?=\d))(?:[^\w\s']+|_+)(?=\w)")
# Places between ASCII letters and those of another script, also with punctuation: "dress,红色".
_SCRIPT_CHANGE = re.compile(
    r"(?<=[a-zA-Z\d])([^\w\s]*)(?=[^\W_\x00-\u036f])"
    r"|(?<=[^\W_\x00-\u036f])([^\w\s]*)(?=[a-zA-Z\d])"
)
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SHORTEST_PART = 3  # fewest letters of each word when "reddress" is split into two words
_LONGEST_QUOTE = 120  # most characters of a text that is quoted in a message
# Punctuation between joined words. When the words are separated, these characters stay, followed by
# a space; other characters are replaced with a space.
_SPACED_JOINTS = ",;:/|&+"

# English words without meaning of their own. Some also occur in other languages, so they do not
# prove that a text is English.
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

# Words that describe clothes, in the singular. Only these are recognized inside a longer word: with
# any words, foreign and longer words would be split too, such as Spanish "mangas" into "man gas",
# or "overall" into "over all".
_CLOTHING_WORDS = frozenset(
    " ".join(
        (
            "black white grey gray red pink orange yellow green teal blue navy purple violet",
            "brown beige cream burgundy maroon turquoise gold silver khaki lilac lavender color",
            "colour dress shirt tshirt vneck tee top blouse jumper sweater cardigan hoodie",
            "sweatshirt jacket coat blazer skirt trouser pant jean short legging trainer",
            "sneaker shoe boot heel sandal bag handbag tote backpack hat cap outfit garment",
            "clothing gown frock tunic vest suit stripe striped pinstripe check checked plaid",
            "dot dotted spot spotted flower floral zigzag leopard graphic logo print printed",
            "pattern patterned plain text image motif sleeve sleeved neck neckline collar",
            "collared hood lapel button zip zipper lace strap buckle belt belted drawstring",
            "pocket sole toe brim band ribbon trim hem waist fit ruffle frill bow fringe tassel",
            "sequin bead lining seam cuff pleat slit shoulder leg embroidery padding leather",
            "fur denim cotton wool silk long short longer shorter light lighter dark darker",
            "pale bright medium loose slim tight fitted cropped wide narrow thin thick",
        )
    ).split()
)
# Words that form compounds with each other and with `_CLOTHING_WORDS`: "workwear", "summertime".
_COMPOUND_WORDS = frozenset(
    {"pin", "tuck", "tucked", "work", "wear", "sport", "sports", "summer", "winter", "time", "day"}
    | {"night", "evening", "beach", "swim", "foot", "knit", "high", "low"}
)
# Digits and signs that stand for letters: "n0 bl4ck". A "1" may stand for two letters.
_LETTERS_OF_DIGITS = tuple(
    str.maketrans({"0": "o", "1": letter, "3": "e", "4": "a", "5": "s", "7": "t", "$": "s"})
    for letter in "li"
)
_NEGATING_WORDS = frozenset(
    {"no", "not", "non", "none", "never", "nor", "without", "nothing", "except", "but"}
)
_ANY_GARMENT = re.compile(rf"(?:{KINDS})s?", re.IGNORECASE)
# Words that say that a thing is absent: "patternless", "heel-less", "belt-free".
_ABSENCE = re.compile(r"(?<![\w'-])([^\W\d_]{3,}?)-?(?:less|free)(?![\w'-])", re.IGNORECASE)
# Phone keyboards split "sleeveless"; "sleeves less wide" is a comparison.
_SPLIT_ABSENCE = re.compile(
    rf"(?<![\w'-])(sleeve|strap|collar) (less)(?=\s+(?:{KINDS})\b|\s*(?:[,.;]|$))", re.IGNORECASE
)

_log = logging.getLogger(__name__)


class TypedText(NamedTuple):
    """A text that a person typed, after cleaning, and a record of what was changed or removed.

    Attributes:
        text: The cleaned text, before the caption template is applied. Empty if the model cannot
            use the text.
        typed: The text as typed.
        cut: The end of the cleaned text that was cut off because the text was too long; empty if
            nothing was cut.
        unreadable: Empty if the model can use the text. Otherwise, all words of the text: none of
            them is in the vocabulary, except perhaps function words such as "with".
        max_tokens: Maximum number of CLIP tokens of a text; None without a CLIP tokenizer.
        respelled: Pairs of a typed word or phrase and its replacement, such as ("reddress", "red
            dress"). The replacement of a phrase that was left out is empty.
        read_as_list: Whether dashes at the starts of lines were interpreted as list bullets,
            although each could also be a minus.
        excluded: Patterns, parts and cuts that the typed text excludes but `text` does not name, in
            lower case: "stripes" if "no stripes" became "in plain", "short sleeves" if "no short
            sleeves" became "longer sleeves".
    """

    text: str
    typed: str = ""
    cut: str = ""
    unreadable: tuple[str, ...] = ()
    max_tokens: int | None = None
    respelled: tuple[tuple[str, str], ...] = ()
    read_as_list: bool = False
    excluded: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user on which parts of the text were ignored or changed, and why."""
        if self.unreadable:
            words = ", ".join(self.unreadable[:12])
            return (
                f"No word of the text is known to this model, which reads English ({words}). The "
                "answer is by the picture alone.",
            )
        notes = []
        if read := [f"“{typed}” as “{read}”" for typed, read in self.respelled[:12] if read]:
            notes.append(f"Read {', '.join(read)}.")
        if unchanged := [f"“{typed}”" for typed, read in self.respelled[:12] if not read]:
            notes.append(
                f"Left out {', '.join(unchanged)}: what the words do not change is taken from the "
                "picture."
            )
        if self.read_as_list:
            notes.append(
                "A dash at the start of a line was read as that of a list, not as a minus. To "
                "exclude something, use “without”."
            )
        if facts := _facts_in(self.text):
            named = " and ".join(f"“{fact}”" for fact in facts[:3])
            notes.append(
                f"A picture does not show {named}, so the model knows nothing of it. Leave it out; "
                "if the gallery has it as metadata, use a filter."
            )
        if self.cut:
            notes.append(
                f"Only the beginning of the text was read, up to “{_last_words(self.text)}”: this "
                f"model reads at most {self.max_tokens} tokens. Not read: “{abridge(self.cut)}”"
            )
        return tuple(notes)


class CleanText(NamedTuple):
    """The result of `clean_text`.

    Attributes:
        text: The cleaned text.
        respelled: Pairs of a typed word and its replacement, such as ("reddress", "red dress").
        read_as_list: Whether dashes at the starts of lines were interpreted as list bullets,
            although each could also be a minus.
    """

    text: str
    respelled: tuple[tuple[str, str], ...] = ()
    read_as_list: bool = False


_PEOPLE = (
    r"m[ae]n|wom[ae]n|guys?|lad(?:y|ies)|wife|husband|girlfriend|boyfriend|partner|mum|mom|mother|dad"
    r"|father|sister|brother|friend|boss|grand(?:ma|pa|mother|father)|daughter|son"
)
# What a picture of clothes does not show: size, price, offer, comfort, and whom they are for.
_FACT = re.compile(
    r"(?<![\w'-])(size\s+(?:[sml]|x{1,3}[sl]|\d{1,3}|(?:extra[\s-]+)?(?:small|medium|large))"
    r"|(?:(?<=^)|(?<=[,;]\s))(?:small|medium|large)[\s-]+siz(?:e|ed)(?=\s*(?:$|[.,;]))"
    r"|(?:plus|petite)[\s-]+siz(?:e|ed)"
    r"|in\s+(?:an?\s+)?(?:(?:extra[\s-]+)?(?:small|medium|large)|x{0,3}[sl]|m)(?=\s*(?:$|[.,;]))"
    r"|half[\s-]+price|\d{1,2}\s*%\s*off"
    r"|(?:price|cost)s?[\s:]+(?:is\s+|of\s+|under\s+)?[$€£]?\d[\d.,]*(?:\s*(?:dollars?|euros?|pounds?))?"
    r"|\d[\d.,]*\s*(?:dollars?|euros?|eur|usd|gbp|pounds?|bucks|cm|mm|inch(?:es)?|kg|grams?)"
    r"|[$€£]\s*\d[\d.,]*|\d[\d.,]*\s*[$€£]|on\s+sale|in\s+stock|free\s+shipping|best\s+price"
    r"|cheap(?:er)?|discount(?:ed)?"
    r"|(?:in\s+)?(?:my|your|her|his|a|one|two|(?:a\s+)?(?:bigger|larger|smaller)|(?:the\s+)?next)\s+sizes?"
    r"(?:\s+(?:up|down|bigger|smaller|larger))?"
    r"|less\s+expensive|(?:more\s+)?(?:expensive|affordable|comfortable|comfy|breathable)|comfier"
    r"|(?:machine[\s-]+)?washable|(?:better|good|high(?:er)?)[\s-]+quality"
    rf"|for\s+(?:(?:an?|my|the|his|her|old(?:er)?|young(?:er)?)\s+)*(?:{_PEOPLE}))(?![\w-])",
    re.IGNORECASE,
)


def _facts_in(text: str) -> list[str]:
    """Return the phrases of a text about what pictures do not show, such as "size 12".

    These are sizes, prices, comfort, and the people that the clothes are for.
    """
    return list(dict.fromkeys(" ".join(fact.split()).rstrip(".,") for fact in _FACT.findall(text)))


def _last_words(text: str) -> str:
    words = text.split()
    return ("… " if len(words) > 3 else "") + abridge(" ".join(words[-3:]))


def abridge(text: str) -> str:
    """Return a text, or its beginning if it is too long to be quoted in a message."""
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def clean_typed_text(text: str, is_known: Callable[[str], bool] | None = None) -> str:
    """Clean a text that a person typed, and return only the cleaned text; see `clean_text`."""
    return clean_text(text, is_known).text


def clean_text(text: str, is_known: Callable[[str], bool] | None = None) -> CleanText:
    """Clean a text that a person typed.

    - HTML entities that end in a semicolon are decoded (`&amp;` becomes `&`); `&not` stays.
    - Each run of white space becomes one space, and invisible characters are removed.
    - Full-width and other compatibility letters become plain letters, accents are removed (`café`
      becomes `cafe`), and typographic quotes and dashes become ASCII.
    - Words joined with punctuation (`red/dress`) or without (`RedDress`, `reddress`) are separated
      if the vocabulary contains the single words but not the joined word. With punctuation, one
      of the single words in the vocabulary is enough. `reddress` is separated only if both words
      describe clothes, or if one does and the other is a function word such as `with`.
    - The name of a garment becomes singular or plural if the vocabulary contains only that form:
      `waistcoats` becomes `waistcoat`.
    - A mistyped word of a negation is corrected: `exept` becomes `except`.
    - Digits in place of letters are replaced if that gives a word for clothes or a word of a
      negation: `n0 bl4ck` becomes `no black`.
    - `patternless` and `belt-free` become `without pattern` and `without belt` if the vocabulary
      contains `pattern` and `belt`, but not the joined words.
    - A leading minus becomes a word (`-stripes` becomes `without stripes`), because the word
      tokenizer would delete the minus and so reverse the meaning. Other short forms of negations
      are spelled out, too; see `spell_out_negations`.

    Args:
        text: The text as typed.
        is_known: Function that tells whether a word, without its punctuation, is in the model's
            vocabulary. If None (the model has no vocabulary), joined words are not separated.

    Returns:
        The cleaned text, without spaces at its ends, and the changes that may alter its meaning.
    """
    text = _ENTITY.sub(lambda match: _decode_entity(match[0]), text)
    lines = [
        "".join(" " if _is_space(char) else char for char in _INVISIBLE.sub("", line))
        for line in text.splitlines()
    ]
    # The next steps need line breaks and the kinds of dashes to distinguish lists and dashes from
    # minus signs. Later steps remove both.
    text = "\n".join(lines).translate(_APOSTROPHES)
    read_as_list = has_ambiguous_list(text)
    text = spell_out_negations(text)
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    text = _strip_accents(text.translate(_QUOTES))
    text = " ".join(text.split())
    if is_known is None:
        return CleanText(text, (), read_as_list)
    respelled: dict[str, str] = {}
    text = _SPLIT_ABSENCE.sub(r"\1\2", text)

    def respell_absence(match: re.Match[str]) -> str:
        word, thing = match[0], match[1]
        if is_known(word):  # keep "sleeve-less/blue" from being separated at the hyphen
            is_joined = _JOINT.match(match.string, match.end())
            return word.replace("-", "") if is_joined else word
        if is_known(f"{thing}s") and not is_known(thing):
            thing = f"{thing}s"  # "stripeless"
        if not _describes_clothes(thing) or not is_known(thing):
            return word
        respelled[word] = f"without {thing}"
        return respelled[word]

    text = _ABSENCE.sub(respell_absence, text)
    words = " ".join(_separate(word, is_known) for word in text.split()).split()
    for position, word in enumerate(words):
        letters = word.strip(string.punctuation)
        other = _other_number(letters, is_known)
        if letters and not is_known(letters):
            other = other or _without_digits(letters) or correct_negation(letters)
        parts = (other,) if other else _find_parts(letters, is_known)
        if parts:
            respelled[letters] = " ".join(parts)
            words[position] = word.replace(letters, respelled[letters])
    return CleanText(" ".join(words), tuple(respelled.items()), read_as_list)


_LEAST_LETTERS = 5  # of words that may be meant; shorter ones are too much alike
_SPELLED = sorted(
    form
    for word in (*_CLOTHING_WORDS, "sleeveless")
    for form in (word, f"{word}s")
    if len(word) >= _LEAST_LETTERS
)


# Ordinary words that differ from a word for clothes by one letter: "sort of", "wait".
_ORDINARY_WORDS = frozenset(
    (
        "belated",
        "brow",
        "duress",
        "loner",
        "paid",
        "shot",
        "sort",
        "sorts",
        "tick",
        "violent",
        "wait",
    )
)


def correct_spelling(
    text: str, is_known: Callable[[str], bool]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Correct mistyped words for clothes: "sleevless jaket" becomes "sleeveless jacket".

    A word is corrected if it is neither in the vocabulary nor an ordinary word such as "wait", and
    resembles exactly one known word for clothes of at least five letters. Two words resemble each
    other if they have the same first letter, and if one letter is missing or additional or two
    adjacent letters are exchanged. A wrong letter is not corrected, so that "while" does not become
    "white". Of the 60,268 captions of FashionIQ, 0.8 % have a word that is corrected.

    Args:
        text: The cleaned text.
        is_known: Function that tells whether a word is in the vocabulary.

    Returns:
        The new text, and pairs of a typed word and the word that replaces it.
    """
    read: dict[str, str] = {}
    words = text.split()
    for position, word in enumerate(words):
        letters = word.strip(string.punctuation)
        if len(letters) < _LEAST_LETTERS - 1 or not letters.isalpha() or is_known(letters):
            continue
        if letters.lower() in _ORDINARY_WORDS:
            continue
        right = [other for other in _SPELLED if _is_misspelled(letters.lower(), other)]
        if len(right) == 1 and is_known(right[0]):
            read[letters] = right[0]
            words[position] = word.replace(letters, right[0])
    return " ".join(words), tuple(read.items())


def _is_misspelled(word: str, right: str) -> bool:
    """Return whether a word is a likely misspelling of the right word.

    In a likely misspelling, one letter is missing or additional, or two adjacent letters are
    exchanged. The first letter must be the same, since it is hardly ever mistyped: "right" is no
    misspelling of "bright". An additional "y" at the end does not count either: "dressy" is a word
    of its own.
    """
    has_other_letters = len(word) == len(right) and sorted(word) != sorted(right)
    if has_other_letters or word[0] != right[0] or word == f"{right}y":
        return False
    return is_slip(word, right)


def read_as_neighbors(
    text: str, neighbor: Callable[[str], str | None]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Replace words that the model does not know with words that it knows.

    If the replacement is already the next word, the unknown word is only deleted: "sapphire blue"
    becomes "blue".

    Args:
        text: The cleaned text.
        neighbor: Function that takes a word without punctuation, and returns its replacement or, if
            the word must stay, None.

    Returns:
        The new text, and pairs of a typed word or phrase and its replacement.
    """
    words = text.split()
    read: dict[str, str] = {}
    result: list[str] = []
    for position, word in enumerate(words):
        letters = word.strip(string.punctuation)
        other = neighbor(letters) if letters else None
        if other is None:
            result.append(word)
            continue
        following = words[position + 1] if position + 1 < len(words) else ""
        if word.endswith(letters) and following.strip(string.punctuation).lower() == other:
            phrase = f"{letters} {following.strip(string.punctuation)}"
            read[phrase] = other
            opening = word[: -len(letters)]
            words[position + 1] = opening + following
        else:
            read[letters] = other
            result.append(word.replace(letters, other))
    return " ".join(result), tuple(read.items())


def decode_url_text(text: str) -> str:
    """Return a text that is encoded for a web address in decoded form, and others unchanged.

    A text counts as encoded if it has `%`, two hexadecimal digits after each `%`, neither spaces
    nor letters outside ASCII, and if the result is printable UTF-8 with a letter or digit:
    `red%20dress` and `red+dress%2C+long` are, `50% off` and `50%25 off` are not. A text that was
    encoded several times is decoded as often. Words joined by `+` alone become separate words if
    one of them is a function word: `no+stripes` is no list of two things, while `black+white` may
    be one.
    """
    for _ in range(_MAX_ENCODINGS):
        if not _PERCENT_ENCODED.fullmatch(text.strip()):
            break
        try:
            decoded = unquote_to_bytes(text.strip().replace("+", " ")).decode()
        except UnicodeDecodeError:
            break
        is_text = all(char.isprintable() or char in "\t\n\r" for char in decoded)
        if not (is_text and any(map(str.isalnum, decoded))):
            break
        text = decoded
    words = text.strip().split("+")
    is_joined = len(words) > 1 and all(re.fullmatch(r"[\w'-]+", word) for word in words)
    if is_joined and any(word.lower() in FUNCTION_WORDS for word in words):
        return " ".join(words)
    return text


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
    plain = []
    for char in text:
        base = unicodedata.normalize("NFD", char)[0]
        plain.append(base if base.isascii() and base.isalpha() else char)
    return "".join(plain)


def _other_number(word: str, is_known: Callable[[str], bool]) -> str | None:
    """Return the other form, singular or plural, of a garment's name if only that form is known.

    Otherwise, the result is None. For example, "waistcoats" gives "waistcoat". Without this rule,
    "waistcoats" would be split into "waist" and "coats".

    Args:
        word: The word, without punctuation around it.
        is_known: Function that tells whether a word is in the vocabulary.
    """
    if is_known(word) or not _ANY_GARMENT.fullmatch(word):
        return None
    singular = word.removesuffix("es") if word.endswith(("sses", "xes", "ches", "shes")) else word
    forms = (word.removesuffix("s"), singular, f"{word}s")
    return next((form for form in forms if form != word and is_known(form)), None)


def _without_digits(word: str) -> str | None:
    """Return a word with letters in place of its digits: "no" for "n0", "black" for "bl4ck".

    The result is None if the word has no digit or no letter, or if the new word neither describes
    clothes nor belongs to a negation.

    Args:
        word: A word that the model does not know, without punctuation around it.
    """
    word = word.lower()
    if word.isalpha() or not re.search(r"[^\W\d_]", word):
        return None
    forms = (word.translate(letters) for letters in _LETTERS_OF_DIGITS)
    return next(
        (form for form in forms if form in _NEGATING_WORDS or _describes_clothes(form)), None
    )


def _separate(word: str, is_known: Callable[[str], bool]) -> str:
    """Separate words joined with punctuation, such as `blue/white`, if at least one is known.

    A joined word that is in the vocabulary itself, such as `v-neck`, is not separated. Letters of
    another script are separated from a known word, since a word tokenizer deletes them: as a word
    of their own, they can be reported as unknown.

    Args:
        word: The joined words.
        is_known: Function that tells whether a word is in the vocabulary.
    """
    if not word.isascii():
        separated = _SCRIPT_CHANGE.sub(r"\1\2 ", word)
        parts = re.findall(r"[a-zA-Z]{2,}", separated)
        if separated != word and any(map(is_known, parts)):
            return " ".join(_separate(part, is_known) for part in separated.split())
    parts = _JOINT.split(word)
    if len(parts) == 1 or is_known(word) or not any(map(is_known, parts)):
        return word
    return _JOINT.sub(lambda match: f"{match[0]} " if match[0][0] in _SPACED_JOINTS else " ", word)


def _find_parts(word: str, is_known: Callable[[str], bool]) -> tuple[str, ...]:
    """Split a word that is not in the vocabulary into known words.

    - `RedDress` is split if all parts are in the vocabulary.
    - `reddress` is split if both parts are in the vocabulary, and are likely to describe clothes
      together; see `_describe_clothes_together`.
    - `noblack` is split if `black` is in the vocabulary and describes clothes.

    Args:
        word: The word, without punctuation around it.
        is_known: Function that tells whether a word is in the vocabulary.

    Returns:
        The parts; empty if the word is in the vocabulary, cannot be split, or could be split in
        several ways.
    """
    if not word.isalpha() or is_known(word):
        return ()
    parts = _CAMEL_CASE.split(word)
    if len(parts) > 1 and all(map(is_known, parts)):
        return tuple(parts)
    rest = word[2:]
    is_negated = word.lower().startswith("no") and len(rest) >= _SHORTEST_PART
    if is_negated and _describes_clothes(rest) and is_known(rest):
        return "no", rest
    cuts = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
    pairs = [
        pair
        for cut in cuts
        if _describe_clothes_together(pair := (word[:cut], word[cut:])) and all(map(is_known, pair))
    ]
    return pairs[0] if len(pairs) == 1 else ()


def _describes_clothes(word: str) -> bool:
    """Return whether a word describes clothes, such as "red" or "sleeves".

    Such words are listed in the singular in `_CLOTHING_WORDS`; the plurals count, too.
    """
    word = word.lower()
    return not _CLOTHING_WORDS.isdisjoint({word, word.removesuffix("s"), word.removesuffix("es")})


def _describe_clothes_together(pair: tuple[str, str]) -> bool:
    """Return whether two words, joined into one word, are likely to describe clothes.

    The result is True in two cases:

    - Each word describes clothes ("red", "dress"), or often occurs in names of clothes ("summer",
      "wear").
    - One word describes clothes, and the other is a function word such as "with".
    """
    if all(_describes_clothes(word) or word.lower() in _COMPOUND_WORDS for word in pair):
        return True
    return any(map(_describes_clothes, pair)) and any(
        word.lower() in FUNCTION_WORDS for word in pair
    )
