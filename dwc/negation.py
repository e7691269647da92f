"""Negations: phrases that exclude something, such as "without" or "anything but".

`NEGATIONS` contains the negations that occur in the generated texts of the catalogue (a data set of
drawn garments) and that the parser of these texts understands. A model understands only the
negations that it was trained on, and not all of them reliably. `unknown_function_words` lists the
negations in a text that a model has not learned. `overlooked_negations` lists the negations that
even the bundled checkpoint often overlooks, although it was trained on them. `negation_note`
combines both lists into a message, which `Searcher` adds to the notes of a search result.
"""

import re
from collections.abc import Callable
from typing import Literal

Tokens = tuple[str, ...]

Reach = Literal["no", "without", "removing"]
"""How many of the things that are named after a negation are excluded by the negation.

- "no": only the first thing ("no belt and striped" excludes belts, and asks for stripes).
- "without": all things in a list joined by "or" ("without belt or pockets").
- "removing": all things in a list joined by "or" or "and" ("remove belt and pockets").
"""


def _phrases(text: str) -> tuple[Tokens, ...]:
    """Split a text at commas into phrases, and each phrase into its words."""
    return tuple(tuple(phrase.split()) for phrase in text.split(","))


_BY_REACH: dict[Reach, str] = {
    "no": (
        "no,not,isn't,aren't,wasn't,weren't,can't be,cannot be,shouldn't be,neither,nor,non,"
        "nothing,never,not be,not in,not with,not any,no more,nothing in,"
        "nothing with,instead of,rather than,other than,something other than,anything other than,"
        "everything other than"
    ),
    "without": (
        "without,without any,without anything,sans,except,except for,excluding,anything but,"
        "anything except,everything but,everything except,all but,all except,any colour but,"
        "any color but,any colour except,any color except,free of,does not have,doesn't have,"
        "can't have,cannot have,shouldn't have,"
        "do not have,don't have,don't want,do not want,i don't want,i do not want"
    ),
    "removing": (
        "minus,remove,lose,drop,get rid of,leave out,leave off,take off,take away,ditch,delete,"
        "omit,skip,replace,swap"
    ),
}
NEGATIONS: dict[Tokens, Reach] = {
    phrase: reach for reach, text in _BY_REACH.items() for phrase in _phrases(text)
}
"""Maps each negation, as a tuple of lower-case words, to its reach: how many things it excludes."""
LONGEST_NEGATION = max(map(len, NEGATIONS))
"""The number of words of the longest negation."""

# Maps a negation whose words also occur in other phrases ("as a skirt instead", "a pair of") to
# another word. A model has learned the negation only if its vocabulary also has that other word: a
# vocabulary has the other word only if the model was trained on texts with negations.
_LEARNED_WITH: dict[Tokens, str] = {("instead", "of"): "than"}

# The negations that the bundled checkpoint was measured to follow on photographs: "not" before a
# color, and these three before anything else. The checkpoint was trained on the other negations,
# too, but still mostly returns what they exclude.
_FOLLOWED: frozenset[Tokens] = frozenset({("not",), ("no",), ("without",)})
_COLORS = (
    "black|white|gr[ea]y|red|pink|orange|yellow|green|teal|blue|navy|purple|brown|beige|cream|burgundy|"
    "maroon|turquoise"
)
_NO_COLOR = re.compile(rf"\b(?:no|without)\s+(?:{_COLORS})\b", re.IGNORECASE)

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_CONTRACTION = re.compile(
    r"(?<![\w'-])(is|are|was|were|do|does|did|ca|wo|has|have|had|should|would|could|must)(n)(t)"
    r"(?![\w'-])",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"(?<![\w/])w/o(?:ut)?(?![\w/])", re.IGNORECASE)
_PROHIBITION = re.compile("([🚫⛔❌🛇])")
# Ways to exclude something that no model has learned: "!red" and "red? no".
_NOT_SIGN = re.compile(r"(?:^|[\s,;(])!(?=[^\W\d_])")
_ANSWERED_NO = re.compile(r"[^\W\d_]\s*\?+\s*(no|not|nope|never)\s*(?=[.,;!?]|$)", re.IGNORECASE)
_DASHES = "-\u2010-\u2015\u2212"  # for a character class: hyphens, dashes and the minus sign
_MINUS = re.compile(r"(?:(?<=^)|(?<=[\s,;(]))[-\u2212\uff0d](?=[^\W\d_])(?!(?:no|not|without)\b)")
_DASH_BEFORE_WORD = re.compile(r"(?:(?<=^)|(?<=\s))([\u2010-\u2015])(?=[^\W\d_])")
_LIST_ITEM = re.compile(rf"\s*[{_DASHES}]+\s*(.*\w.*?)[\s,;]*")


def spell_out_minus(text: str) -> str:
    """Replace a leading minus by "without": "dress -stripes" becomes "dress without stripes".

    Only a hyphen or minus sign at the start of a word is replaced. "long-sleeved", "a - b" and a
    dash before a negation ("longer -no belt") stay unchanged. A longer dash ("like this –shorter")
    is not a minus; a space is inserted between this dash and the word. Several lines that all start
    with a dash are treated as a list, and the list entries are joined with commas: "-blue" and
    "-longer" become "blue, longer".
    """
    lines = [line for line in text.splitlines() if line.strip()]
    items = [_LIST_ITEM.fullmatch(line) for line in lines]
    if len(lines) > 1 and all(items):
        text = ", ".join(item[1] for item in items if item)
    return _MINUS.sub("without ", _DASH_BEFORE_WORD.sub(r"\1 ", text))


def spell_out_negations(text: str) -> str:
    """Rewrite the negations in a text with the spelling that models and `NEGATIONS` use.

    - Contractions get their apostrophe: "isnt" becomes "isn't".
    - "w/o" becomes "without".
    - Prohibition signs become separate words: "🚫red" becomes " 🚫 red". Separate signs can be
      reported as unknown words; a word tokenizer would delete a sign that touches a word.
    - A leading minus becomes "without", see `spell_out_minus`.
    """
    text = _CONTRACTION.sub(r"\1\2'\3", text)
    text = _WITHOUT.sub("without", text)
    return spell_out_minus(_PROHIBITION.sub(r" \1 ", text))


def negations_in(text: str) -> list[Tokens]:
    """Return the negations in a text, in order, each as a tuple of lower-case words.

    If several negations begin at the same word, only the longest is returned: for "without any
    belt" it is ("without", "any").
    """
    words: list[str] = []
    for word in _WORD.findall(spell_out_negations(text.lower().replace("\u2019", "'"))):
        words += word.split("-", 1) if word.startswith("non-") else [word]
    found = []
    start = 0
    while start < len(words):
        for end in range(min(start + LONGEST_NEGATION, len(words)), start, -1):
            if tuple(words[start:end]) in NEGATIONS:
                found.append(tuple(words[start:end]))
                start = end
                break
        else:
            start += 1
    return found


def unknown_function_words(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """Return the negations in a text that a model has not learned.

    Args:
        text: The text as typed.
        is_known: Function that returns whether a word is in the model's vocabulary.

    Returns:
        Each unknown negation once, in order, in lower case, such as "without any"; then "!" for a
        text such as "!red", and "? no" for a text such as "red? no". Empty if there are none.
    """
    unknown: dict[str, None] = {}
    for phrase in negations_in(text):
        needed = [*phrase, _LEARNED_WITH.get(phrase, phrase[0])]
        if not all(is_known(word) for word in needed):
            unknown[" ".join(phrase)] = None
    if _NOT_SIGN.search(text):
        unknown["!"] = None
    for answer in _ANSWERED_NO.findall(text):
        unknown[f"? {answer.lower()}"] = None
    return list(unknown)


def overlooked_negations(text: str) -> list[str]:
    """Return the negations in a text that even a model trained on them often overlooks.

    Each is listed once, in lower case: a phrase such as "anything but", or "no" or "without"
    together with a color, such as "no red".
    """
    phrases = [" ".join(phrase) for phrase in negations_in(text) if phrase not in _FOLLOWED]
    phrases += [match.lower() for match in _NO_COLOR.findall(spell_out_negations(text))]
    return list(dict.fromkeys(phrases))


def negation_note(text: str, is_known: Callable[[str], bool]) -> str | None:
    """Return a message on negations in a text that a model has not learned or often overlooks.

    The message also says which negations to use instead, if the model knows them. The result is
    None if the text has no negation that is unknown or often overlooked. The parameters are those
    of `unknown_function_words`.
    """
    unknown = unknown_function_words(text, is_known)
    overlooked = [phrase for phrase in overlooked_negations(text) if phrase not in unknown]
    if not unknown and not overlooked:
        return None
    parts = [
        f"The model {verb} {', '.join(_quoted(phrase) for phrase in phrases)}"
        for verb, phrases in (("has not learned", unknown), ("often overlooks", overlooked))
        if phrases
    ]
    uses = {"not": "before a color", "without": "before anything else"}
    known = [f"{_quoted(word)} {use}" for word, use in uses.items() if is_known(word)]
    advice = f" Use {', '.join(known)}." if known else ""
    return f"{'; '.join(parts)}: the results may have what the words exclude.{advice}"


def _quoted(phrase: str) -> str:
    """Return a phrase in double quotes."""
    return f'"{phrase}"'
