"""Notes about negations that a model may misunderstand.

A model understands only negations that it was trained on, and overlooks even some of these.
`unknown_function_words` lists the negations in a text that a model has not learned.
`overlooked_negations` lists the negations that the bundled checkpoint often overlooks, although it
was trained on them. `unmeasured_negations` lists the negations for which no measurement shows
whether the checkpoint follows them. `negation_note` combines these lists into a message, which
`Searcher` adds to the notes of a search result.
"""

import re
from collections.abc import Callable

from dwc.negation.exclusions import EXCLUDES_NOTHING, ONLY, Tokens, find_phrases, negations_in
from dwc.negation.garment_words import COLORS, KINDS, PARTS, PATTERNS, SMALL_PARTS
from dwc.negation.spelling import ANSWERED_NO, UNEQUAL, spell_out_negations

# The words of some negations also occur in other phrases ("as a skirt instead", "a pair of"). These
# negations are mapped to words that occur only in texts with negations. A model has learned such a
# negation only if its vocabulary has that word, too.
_LEARNED_WITH: dict[Tokens, str] = {("instead", "of"): "than"}

# Without a reference image, the bundled checkpoint was measured to overlook all negations but these
# on photographs; with one, it overlooks those of `_OVERLOOKED_WITH_IMAGE`.
_FOLLOWED: frozenset[Tokens] = frozenset({("not",), ("no",), ("without",)})
_OVERLOOKED_WITH_IMAGE = frozenset({"never"})  # first words of negations
# Exclusions of a kind of garment, which models overlook with and without a reference image.
_NO_KIND = re.compile(
    r"\b((?:no more|no|not|without|anything but|something other than|other than|except|instead of"
    r"|rather than)"
    rf"\s+(?:an?\s+|any\s+|the\s+)?(?:pairs?\s+of\s+)?(?:{KINDS}))\b",
    re.IGNORECASE,
)
# Exclusions of a cut or a shade, which models overlook with and without a reference image.
_NO_SHAPE = re.compile(
    r"\b((?:no|not|nothing|never|without|isn't|anything but|except)\s+(?:too\s+|very\s+|an?\s+)*"
    r"(?:(?:long|short)[\s-]sleeve[sd]?|long|short|cropped|dark|light|bright|loose|tight|wide"
    r"|narrow))(?![\w-])(?!\s+(?:sleeve|" + COLORS + "))",
    re.IGNORECASE,
)
# Exclusions of parts that photographs show too small: of the first 12, 3 to 6 had them.
_NO_SMALL_PART = re.compile(
    r"\b((?:no|not|without)\s+(?:any\s+|an?\s+)?"
    rf"(?:{SMALL_PARTS}))\b",
    re.IGNORECASE,
)
_NO_HOOD = re.compile(r"\b((?:no|not|without)\s+(?:an?\s+|any\s+)?hood(?:s|ed)?)\b", re.IGNORECASE)
# Exclusions of a color in words on which models were not trained.
_ODD_NO_COLOR = re.compile(
    rf"\b((?:no|not|without)\s+(?:any\s+)?(?:{COLORS})(?:s|es)|(?<!more or )less\s+(?:{COLORS})"
    rf"|(?:{COLORS})\s+(?:is\s+out|no\s+more)|but\s+for\s+(?:{COLORS}))\b",
    re.IGNORECASE,
)
# Pairs of colors of which only the second is wanted; models confuse the two colors.
_SWAPPED = re.compile(
    rf"\b((?:not|no|instead\s+of)\s+(?:in\s+)?(?:{COLORS})\s*(?:[,;]\s*(?:but\s+)?|\s+but\s+)"
    rf"(?:in\s+)?(?:{COLORS})|(?:from\s+)?(?:{COLORS})(?:\s+to\s+|\s*>\s*)(?:{COLORS}))\b",
    re.IGNORECASE,
)
_NO_COLOR = re.compile(rf"\b(?:no|not|without)\s+(?:{COLORS})\b", re.IGNORECASE)
# The exclusion of a color alone, which the bundled checkpoint follows without a reference image,
# except that it finds gray clothes for "not gray".
_ONLY_NOT_COLOR = re.compile(rf"\W*not\s+(?!gr[ea]y)(?:{COLORS})\W*", re.IGNORECASE)

_VALUES = "|".join((COLORS, *PATTERNS, *PARTS, "plain", "sleeves?", "sleeveless"))
# The exclusions that the bundled checkpoint follows without a reference image: a color, a pattern
# or a part, if the text has nothing else. After a garment's name it overlooks them.
_FOLLOWED_ALONE = re.compile(
    rf"\W*(?:(?:not|(?:with\s+)?no|without)\s+(?:any\s+|an?\s+)?(?:{_VALUES})"
    rf"(?:\s*,?\s*\b(?:or|nor|and)\s+(?:an?\s+)?(?:{_VALUES}))*(?:\W+(?:and\s+|or\s+)?|$))+",
    re.IGNORECASE,
)
# A negation, with the two words after it, for messages.
_ANY_NEGATION = re.compile(
    r"(?<![\w'-])((?:no|not|never|without|neither|nor|none|nothing|nowhere|cannot|[^\W\d_]+n't"
    r"|(?:instead|other)\s+(?:of|than)|rather\s+than|far\s+from)\b"
    r"(?:\s+(?:any|an?)\b)?(?:\s+[\w'-]+){1,2})",
    re.IGNORECASE,
)
# What may come after a negation that the bundled checkpoint follows with a reference image.
_FOLLOWED_WITH_IMAGE = re.compile(
    r"(?:no|not|without|neither|nor|nothing|cannot|[^\W\d_]+n't|instead\s+of|(?:rather|other)\s+than)"
    r"\s+(?:(?:any|an?|the|in|with|be|have|want|as|so|too|very|dark|light|is|are|it|but)\s+)*"
    rf"(?:{_VALUES}|sleeve\w*)\b(?!\s+(?:{KINDS})\b)",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"(?:\s+(?:and|or|but|in|with|on|at|for|to|is|are|that|which))+$")
_WITH_SLEEVES = re.compile(r"without\s+sleeves?\b", re.IGNORECASE)
# Ways to exclude something that no model has learned: "!red", "~red", "color != red", "belt: no",
# "red? no" and "no longer red".
_NOT_SIGN = re.compile(r"(?:^|[\s,;(\[/|&+])[!\u00ac](?=[^\W\d_])")
# "~red", and the difference of two sets: "t-shirt \\ black". Beside an amount such as "~30 cm", the
# sign "~" means "about".
_COMPLEMENT = re.compile(r"(?:^|[\s,;(\[/|&+])(~{1,2}(?=[^\W\d_])|[\\\u2216](?=\s?[^\W\d_]))")
_ABOUT = re.compile(r"~\s?\d")
# Answers after a word, in brackets or at the end: "stripes (no)", "stripes no".
_BRACKETED_NO = re.compile(
    r"(?<=[^\W\d_])\s*[(\[]\s*(no|not|none|nope|never|off|false)\s*[)\]]", re.IGNORECASE
)
_TRAILING_NO = re.compile(
    r"(?<=[^\W\d_])\s+(no|not|none|nope|off|false)\s*(?=[.,;!?\n]|$)", re.IGNORECASE
)
_STRUCK_OUT = re.compile(r"(?<!~)(~{1,2})(?=\S)[^~]+(?<=\S)\1(?!~)")
# Quotes and brackets around a word, which must be removed before the other patterns are applied.
_MARKS = re.compile(
    r"(?<![^\W\d_])['\"\u201c\u2018*(\[]+(?=\w)|(?<=\w)['\"\u201d\u2019*)\]]+(?!\w)"
)
_NO_LONGER = re.compile(r"\bno longer\b", re.IGNORECASE)
# Verbs and interjections that exclude something: "avoid red", "red excluded", "I hate red".
_EXCLUSIONS = re.compile(
    r"(?<![\w-])(avoid(?:s|ed|ing)?|exclud(?:e|es|ed)|eliminat(?:e|es|ed|ing)|forbid(?:s|den)?"
    r"|ban(?:s|ned|ning)?|reject(?:s|ed|ing)?|hat(?:e|es|ed|ing)|dislik(?:e|es|ed|ing)|loathes?"
    r"|detests?|despises?|can['\u2019]?t stand|sick of|tired of|fed up with|nope|nah)(?![\w'])",
    re.IGNORECASE,
)
# "no, in red", in which "no" excludes nothing.
_LEADING_NO = re.compile(
    r"^\W*((?:oh\s+|well\s+)?no)\s*[,.;!:\u2013\u2014]\s*(?=\w)(?!(?:no|not|without|nothing)\b)",
    re.IGNORECASE,
)


def unknown_function_words(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """Return the negations in a text that a model has not learned.

    Args:
        text: The text as typed.
        is_known: Function that returns whether a word is in the model's vocabulary.

    Returns:
        The unknown negations, without repetition, in lower case; empty if there are none. First
        come phrases such as "without any", in the order of the text. Then come, if present:

        - the phrase "no longer", and words such as "avoid";
        - "!" for "!red", and "!=" for "color != red";
        - "? no" for "red? no", ": no" for "belt: no", and "no" for "stripes (no)";
        - "~" for "~~red~~" and "~red", and a backslash for a difference of sets.
    """
    unknown: dict[str, None] = {}
    spelled = spell_out_negations(text)
    text = _prepare(spelled)
    for phrase in negations_in(text):
        needed = [*phrase, _LEARNED_WITH.get(phrase, phrase[0])]
        if not all(is_known(word) for word in needed):
            unknown[" ".join(phrase)] = None
    if _NO_LONGER.search(text):
        unknown["no longer"] = None
    for word in _EXCLUSIONS.findall(text):
        unknown[word.lower().replace("\u2019", "'")] = None
    if _NOT_SIGN.search(text):
        unknown["!"] = None
    if UNEQUAL.search(text):
        unknown["!="] = None
    for sign, answer in ANSWERED_NO.findall(text):
        unknown[f"{sign[0] if sign[0] in '?:=' else '-'} {answer.lower()}"] = None
    for answer in [
        *_BRACKETED_NO.findall(spelled),
        *_TRAILING_NO.findall(_LEADING_NO.sub("", spelled)),
    ]:
        unknown[answer.lower()] = None
    if _STRUCK_OUT.search(spelled):
        unknown["~"] = None
    for sign in _COMPLEMENT.findall(spelled):
        if sign[0] != "~" or not _ABOUT.search(spelled):
            unknown[sign[0]] = None
    return list(unknown)


def _prepare(spelled: str) -> str:
    """Remove what would disturb the search for negations: quotes, brackets and "nothing but".

    Phrases such as "nothing but" name the only thing that is wanted, so they exclude nothing.

    Args:
        spelled: The text, as returned by `spell_out_negations`.
    """
    return ONLY.sub(" ", _MARKS.sub("", spelled))


def overlooked_negations(text: str, has_image: bool) -> list[str]:
    """Return the negations in a text that the bundled checkpoint often ignores.

    It ignores them although it was trained on them. Each is listed once, in lower case, for example
    "anything but" or, with the excluded color, "no red". Phrases such as "nothing but red" are not
    listed, since they name the only thing that is wanted.

    Args:
        text: The text of a query.
        has_image: Whether the query also has a reference image. With an image, fewer negations are
            overlooked.
    """
    text = _prepare(spell_out_negations(text))
    negations = negations_in(text)
    if has_image:
        phrases = [" ".join(phrase) for phrase in negations if phrase[0] in _OVERLOOKED_WITH_IMAGE]
        phrases += find_phrases(_NO_SMALL_PART, text)
    else:
        phrases = [" ".join(phrase) for phrase in negations if phrase not in _FOLLOWED]
        if not _ONLY_NOT_COLOR.fullmatch(text):
            phrases += [match.lower() for match in _NO_COLOR.findall(text)]
        phrases += find_phrases(_NO_HOOD, text)
    for pattern in (_NO_KIND, _NO_SHAPE, _ODD_NO_COLOR):
        phrases += find_phrases(pattern, text)
    return list(dict.fromkeys(phrases))


def unmeasured_negations(text: str, has_image: bool) -> list[str]:
    """Return the negations in a text for which no measurement shows whether a model follows them.

    The measurements were made with the bundled checkpoint. The result contains each negation once,
    in lower case, with some of the words after it. It does not contain:

    - negations that the checkpoint was measured to follow;
    - negations that `overlooked_negations` or `unknown_function_words` returns;
    - phrases that `false_negations` or `swapped_colors` returns.

    Args:
        text: The text of a query.
        has_image: Whether the query also has a reference image.
    """
    text = _prepare(spell_out_negations(text))
    if not has_image and _FOLLOWED_ALONE.fullmatch(text):
        return []
    known = [
        *overlooked_negations(text, has_image),
        *unknown_function_words(text, lambda word: True),
        *false_negations(text),
        *swapped_colors(text),
    ]
    patterns = [re.escape(phrase).replace(r"\ ", r"\s+") for phrase in known if phrase]
    spans = [
        match.span() for phrase in patterns for match in re.finditer(phrase, text, re.IGNORECASE)
    ]
    others = []
    for match in _ANY_NEGATION.finditer(text):
        start = match.start()
        followed = _FOLLOWED_WITH_IMAGE if has_image else _WITH_SLEEVES
        if followed.match(text, start) or any(first <= start < last for first, last in spans):
            continue
        others.append(_LAST_WORD.sub("", " ".join(match[0].lower().split())))
    return list(dict.fromkeys(others))


def false_negations(text: str) -> list[str]:
    """Return phrases that look like negations but exclude nothing, each once, in lower case.

    A model reads "no, in red" as "no red", and "not only red" as "not red".
    """
    return list(
        dict.fromkeys([*find_phrases(_LEADING_NO, text), *find_phrases(EXCLUDES_NOTHING, text)])
    )


def swapped_colors(text: str) -> list[str]:
    """Return phrases in which one color replaces another, such as "not red but blue".

    Each phrase is returned once, in lower case.
    """
    return find_phrases(_SWAPPED, text)


def negation_note(text: str, is_known: Callable[[str], bool], has_image: bool) -> str | None:
    """Return a message about negations that a model may misunderstand; None if the text has none.

    The message names the negations that the model has not learned, those that it often overlooks or
    may overlook, and phrases that only look like a negation. It also says what to do instead.

    Args:
        text: The text of a query.
        is_known: Function that returns whether a word is in the model's vocabulary.
        has_image: Whether the query also has a reference image.
    """
    unknown = unknown_function_words(text, is_known)
    overlooked = [
        phrase for phrase in overlooked_negations(text, has_image) if phrase not in unknown
    ]
    unmeasured = [
        phrase
        for phrase in unmeasured_negations(text, has_image)
        if not any(known in phrase for known in (*unknown, *overlooked))
    ]
    excludes_nothing = [
        phrase
        for phrase in false_negations(text)
        if is_known("not" if "not" in phrase.split() else "no")
    ]
    mistaken = (
        f"The model reads {' and '.join(map(_quoted, excludes_nothing))} as a negation of what "
        "follows. If you want what follows, remove these words."
        if excludes_nothing
        else ""
    )
    if swaps := swapped_colors(text):
        confused = f"The model often confuses the colors in {' and '.join(map(_quoted, swaps))}."
        mistaken = f"{mistaken} {confused} Name only the color that you want.".strip()
    if not unknown and not overlooked and not unmeasured:
        return mistaken or None
    without_image = "" if has_image else " without a picture"
    parts = [
        f"The model {verb} {', '.join(_quoted(phrase) for phrase in phrases)}{condition}"
        for verb, phrases, condition in (
            ("has not learned", unknown, ""),
            ("often overlooks", overlooked, without_image),
            ("may overlook", unmeasured, without_image),
        )
        if phrases
    ]
    uses = {"not": "before a color", "without": "before anything else"}
    known = [f"{_quoted(word)} {use}" for word, use in uses.items() if is_known(word)]
    hopeless = (_NO_KIND, _NO_SHAPE, *((_NO_SMALL_PART,) if has_image else ()))
    is_hopeless = any(pattern.search(text) for pattern in hopeless)
    uses_help = unknown or (has_image and overlooked and not is_hopeless)
    advice = f" Use {', '.join(known)}." if known and uses_help else ""
    if (overlooked or unmeasured) and not has_image and not is_hopeless:
        advice += " Add a picture, or name what you want instead."
    elif is_hopeless or unmeasured:
        advice += " Name what you want instead."
    note = f"{'; '.join(parts)}: the results may have what the words exclude.{advice}"
    return f"{note} {mistaken}" if mistaken else note


def _quoted(phrase: str) -> str:
    """Return a phrase in double quotes."""
    return f'"{phrase}"'
