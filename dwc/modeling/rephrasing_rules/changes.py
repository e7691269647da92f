"""Rules for changes and corrections: "blue instead of red" becomes "in blue".

A text may change the color, the pattern, a part, the kind of garment, a cut or a shade. It
may also correct itself: "red t-shirt, make that green" becomes "green t-shirt".
"""

import re

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.vocabulary import (
    ADJECTIVE_ENDINGS,
    ANY_NEGATION,
    ANY_PART,
    PATTERN_ADJECTIVES,
    PHRASE_END,
    SLEEVE_LENGTHS,
    Rule,
    is_plural,
    text_around,
    unless_negated,
)
from dwc.negation.exclusions import negations_in
from dwc.negation.garment_words import (
    ALIKE_COLORS,
    ANY_COLOR,
    ANY_KIND,
    COLORS,
    DETAIL,
    KINDS,
    PATTERN_NAMES,
    PATTERN_OR_PLAIN,
    SHADED_COLOR,
)


def _colors_joined_by(joint: str) -> str:
    """Return a regular expression of one color, or of several that are joined by the given words.

    Args:
        joint: Regular expression of the words, such as "or|nor".
    """
    return rf"{SHADED_COLOR}(?:(?:\s*,\s*|\s+)(?:{joint})\s+{SHADED_COLOR})*"


_OLD = _colors_joined_by("or|nor")
_FORMER_COLORS = _colors_joined_by("and|or|nor")
_PREFERRING = (
    r"(?:(?:i|we)(?:'d|\s+would)?\s+)?(?:prefer|(?:would\s+)?rather(?:\s+(?:have|take|want|wear))?)"
)
_CHOOSING = (
    r"(?:i(?:'d|\s+would)?\s+)?(?:go\s+(?:for|with)|choose|pick|take|use|try|have|want|like|prefer"
    r"|make\s+it|(?:give|show|find)\s+me|it\s+should\s+be)"
)
_REPLACE = r"(?:replace|swap|exchange|trade|switch|substitute)"
_WITH_NEW = r"(?:for|with|by|to|into)\s+(?:an?\s+)?"
_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:"
    rf"(?:in\s+)?(?P<new1>{SHADED_COLOR})\s*(?:,\s*)?(?:(?:and|but)\s+)?"
    rf"(?:instead\s+of|rather\s+than|not|never|no\s+longer)\s+(?:in\s+|the\s+)?{_OLD}"
    rf"|(?:is\s+)?(?:not|never|instead\s+of|rather\s+than)\s+(?:in\s+)?{_OLD}\s*,?\s*but\s+"
    rf"(?:rather\s+|instead\s+)?(?:in\s+)?(?P<new2>{SHADED_COLOR})"
    rf"|(?:instead\s+of|rather\s+than|not)\s+(?:in\s+)?{_OLD}\s*,\s*in\s+(?P<new3>{SHADED_COLOR})"
    rf"|(?:(?:change|turn|from)\s+)?(?:it\s+)?(?:from\s+)?(?:the\s+)?{SHADED_COLOR}"
    rf"(?:\s+(?:in)?to\s+|\s*>\s*)"
    rf"(?P<new4>{SHADED_COLOR})"
    rf"|{_PREFERRING}\s+(?:it\s+)?(?:in\s+)?(?P<new7>{SHADED_COLOR})\s+(?:to|over|than)\s+(?:in\s+)?{_OLD}"
    rf"|{_REPLACE}\s+(?:the\s+)?{SHADED_COLOR}\s+{_WITH_NEW}(?:the\s+)?(?P<new5>{SHADED_COLOR})"
    rf"|(?:instead\s+of|rather\s+than)\s+(?:in\s+|the\s+)?{_OLD}\s*,?\s+(?:{_CHOOSING})\s+(?:it\s+)?"
    rf"(?:in\s+)?(?P<new6>{SHADED_COLOR})"
    rf"|(?P<new8>{SHADED_COLOR})\s+where(?:ver)?\s+(?:(?:the|this|that)\s+)?\w+(?:'s|\s+(?:is|was|are|were))"
    rf"\s+{_OLD}"
    # "was red, now blue", "it is red, should be blue", "old: red, new: blue".
    rf"|(?:(?:it|this|that|they|these)\s+)?(?:was|were|is|are|used\s+to\s+be)\s+(?:in\s+)?{_FORMER_COLORS}"
    r"(?:\s+(?:now|before|here))?\s*[,;]?\s*(?:(?:but|and)\s+)?(?:it\s+)?"
    rf"(?:is\s+now|now|(?:should|must|shall|needs?\s+to|has\s+to)\s+be)\s+(?:in\s+)?(?P<new9>{SHADED_COLOR})"
    rf"|(?:old|before)(?:\s+colou?r)?\s*[:=]?\s*{_FORMER_COLORS}\s*[,;/]?\s*(?:new|after|now)(?:\s+colou?r)?\s*[:=]?\s*"
    rf"(?P<new10>{SHADED_COLOR})"
    rf"){PHRASE_END}",
    re.IGNORECASE,
)
# "previously red", "(formerly: red)", "used to be red" beside the color that is wanted.
_FORMER = compile_lazily(
    r"(?<![\w'-])\(?\s*(?:(?:it|this|that|which|they)\s+)?"
    r"(?:(?:was|were|is|are)\s+)?(?:previously|formerly|originally|used\s+to\s+be|once|was|were)"
    rf"\s*:?\s*(?:in\s+)?{_FORMER_COLORS}(?:\s*\)|{PHRASE_END})",
    re.IGNORECASE,
)
# "make that red t-shirt green".
_MADE = compile_lazily(
    rf"(?<![\w'-])(?:make|turn|dye)\s+(?:that|the|this|my|an?)\s+{SHADED_COLOR}\s+(?P<kind>{KINDS})\s+"
    rf"(?:in\s+)?(?P<new>{SHADED_COLOR}){PHRASE_END}",
    re.IGNORECASE,
)
# "red dress to blue", and "stripes to dots" or "from striped to plain".
_RECOLORED = compile_lazily(
    rf"(?<![\w'-])(?:(?:change|turn|make|from)\s+)?(?:an?\s+|the\s+)?{SHADED_COLOR}\s+(?P<kind>{KINDS})"
    rf"(?:\s+(?:in)?to\s+|\s*>\s*)(?:an?\s+|the\s+)?(?P<new>{SHADED_COLOR})(?:\s+(?:one|(?:{KINDS})))?{PHRASE_END}",
    re.IGNORECASE,
)
# "blue jeans but in gray", "this red dress in blue": the first color is that of the picture.
_OLD_COLORS = rf"(?:{SHADED_COLOR})(?:\s+and\s+{SHADED_COLOR})?"
_COLORED_WORDS = rf"(?:\s+(?!(?:{COLORS}|and|or|but|no|not|without|nor)\b)[\w'-]+){{0,5}}?"
_BUT_COLOR = compile_lazily(
    rf"(?<![\w'-])(?:{_OLD_COLORS}(?P<thing>{_COLORED_WORDS})\s*,?\s+but\s+"
    r"(?:(?:please|rather|instead|actually|now|this\s+time|make|turn|have|want|need|get|it|this|that|them|one|into|to"
    r"|in|an?|the|i|i'd|would|like|prefer|should|be)\s+)*"
    rf"|(?:this|that|these|those|(?:the\s+)?same)\s+{_OLD_COLORS}(?P<this>{_COLORED_WORDS})"
    rf"\s*,?\s+in\s+(?:an?\s+)?)(?P<new>{SHADED_COLOR})(?:\s+(?:ones?|instead|please|version))*{PHRASE_END}",
    re.IGNORECASE,
)
_OF_ANY = compile_lazily(
    r"\b(?:any|anything|all|every|everything|each|nothing|none|something)\s+$", re.IGNORECASE
)
# "swap the color for green", "tone it down to pink", "the black version".
_TO_COLOR = compile_lazily(
    r"(?<![\w'-])(?:(?:tone|turn|bring|change|switch|swap|make)\s+"
    r"(?:it|that|this|them|(?:(?:the|its)\s+)?colou?rs?)\s+(?:down\s+|up\s+)?(?:(?:in)?to|for|with|by)\s+(?:an?\s+)?"
    rf"(?P<to>{SHADED_COLOR})"
    rf"|(?:the|an?|its)\s+(?P<version>{SHADED_COLOR})\s+(?:version|variant|alternative|edition)"
    rf"(?:\s+of\s+(?:this|it|that|these)(?:\s+ones?)?)?"
    rf"|^(?:the|an?)\s+(?P<one>{SHADED_COLOR})\s+ones?){PHRASE_END}",
    re.IGNORECASE,
)
PATTERN_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:(?:change|turn|make|from)\s+)?(?:an?\s+|the\s+)?(?:{PATTERN_OR_PLAIN})"
    rf"(?:\s+(?P<kind>{KINDS}))?(?:\s+(?:in)?to\s+|\s*>\s*)(?P<new>{PATTERN_OR_PLAIN})"
    rf"|{_REPLACE}\s+(?:the\s+)?(?:{PATTERN_OR_PLAIN})\s+{_WITH_NEW}(?P<other>{PATTERN_OR_PLAIN})"
    rf"|(?:with\s+)?(?P<instead>{PATTERN_NAMES})\s*,?\s+(?:instead\s+of|rather\s+than)\s+(?:the\s+)?"
    rf"(?:{PATTERN_NAMES})){PHRASE_END}",
    re.IGNORECASE,
)
# "swap long sleeves for short", "long sleeves to short ones".
_SLEEVE_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:{_REPLACE}|change|turn|make|from)\s+)?(?:the\s+)?{SLEEVE_LENGTHS}[\s-]sleeves?\s+"
    rf"{_WITH_NEW}(?:(?P<new>{SLEEVE_LENGTHS})(?:[\s-]sleeves?|\s+ones?)?|(?P<none>none|no\s+sleeves)){PHRASE_END}",
    re.IGNORECASE,
)
# "swap the jeans for a skirt", "swap the collar for a hood", "buttons instead of a zip".
_THING_SWAP = compile_lazily(
    rf"(?<![\w'-])(?:(?:{_REPLACE}|change|turn)\s+(?:(?:the|my|this|these|its)\s+)?"
    rf"(?:(?:{KINDS})\s+{_WITH_NEW}(?:the\s+|some\s+)?(?P<kind>{KINDS})"
    rf"|(?:{DETAIL})\s+{_WITH_NEW}(?:the\s+|some\s+)?(?P<detail>{DETAIL}))"
    rf"|(?:from\s+|^)(?:an?\s+)?(?:{ANY_PART})\s+(?:in)?to\s+(?:an?\s+)?(?P<part>{ANY_PART})"
    rf"|(?:with\s+)?(?:an?\s+|the\s+)?(?P<instead>{ANY_PART})\s*,?\s+(?:instead\s+of|rather\s+than)\s+"
    rf"(?:an?\s+|the\s+)?(?:{ANY_PART})"
    rf"|(?:turn|make|change)\s+(?:it|this|these|that)\s+(?:in)?to\s+(?:an?\s+)?(?P<into>{KINDS})){PHRASE_END}",
    re.IGNORECASE,
)
# "not striped enough", "not red enough".
_NOT_ENOUGH = compile_lazily(
    rf"(?<![\w'-])(?:not|isn't|aren't)\s+(?P<value>{SHADED_COLOR}|{PATTERN_OR_PLAIN})\s+enough{PHRASE_END}",
    re.IGNORECASE,
)
_ANY_PATTERN_OR_PLAIN = compile_lazily(PATTERN_OR_PLAIN, re.IGNORECASE)
# "everything the same except the color: green", and without a value.
_SAME_EXCEPT = compile_lazily(
    r"(?<![\w'-])(?:(?:keep\s+)?(?:everything|all|it)\s+(?:(?:is|be|stays?|should\s+be)\s+)?)?"
    r"(?:exactly\s+)?(?:the\s+)?(?:same|identical)\s*,?\s*"
    r"(?:except|but|(?:apart|aside)\s+from|other\s+than|save)(?:\s+for)?\s+(?:not\s+)?(?:the\s+|its\s+)?"
    r"(?P<attribute>colou?rs?|patterns?|prints?|sleeves?|lengths?|necklines?|collars?|fabrics?|materials?)"
    r"(?:\s*[:,-]?\s+(?:(?:is|should\s+be|to\s+be|in|with)\s+)*"
    rf"(?P<value>{SHADED_COLOR}|{PATTERN_OR_PLAIN}|{SLEEVE_LENGTHS}(?=(?:\s+sleeves?)?{PHRASE_END})))?(?:\s+sleeves?)?{PHRASE_END}",
    re.IGNORECASE,
)
# "everything but the color", without a value.
_ALL_BUT_ATTRIBUTE = compile_lazily(
    r"(?<![\w'-])(?:keep\s+)?(?:everything|anything|all|it\s+all)\s+(?:but|except(?:\s+for)?)\s+(?:the|its)\s+"
    r"(?P<attribute>colou?r|pattern|print|length|neckline|fabric|material)(?=\s*[.!]*$)",
    re.IGNORECASE,
)
# A cut or shade -> its comparative, and that of its opposite.
_COMPARATIVES = {
    "long": ("longer", "shorter"),
    "short": ("shorter", "longer"),
    "cropped": ("more cropped", "longer"),
    "dark": ("darker", "lighter"),
    "deep": ("deeper", "lighter"),
    "light": ("lighter", "darker"),
    "pale": ("paler", "darker"),
    "bright": ("brighter", "darker"),
    "tight": ("tighter", "looser"),
    "slim": ("slimmer", "looser"),
    "loose": ("looser", "tighter"),
    "baggy": ("looser", "tighter"),
    "wide": ("wider", "narrower"),
    "narrow": ("narrower", "wider"),
}
_SHAPES = "|".join(_COMPARATIVES)
# Parts whose cut is excluded by its name: "without wide brim" must not become "narrower brim".
_PARTS_WITH_CUT = (
    r"brims?|legs|straps?|heels?|soles?|hems?|shafts?|lengths?|fit|toes?|collars?|necks?|necklines?"
    r"|lapels?|pockets?|handles?|tops?|cut|shapes?"
)
# "less long sleeves", "not so dark", "the sleeves are too short", "not long enough".
_LESS = compile_lazily(
    r"(?<![\w'-])(?P<subject>(?:the\s+)?sleeves\s+(?:are|look)\s+)?"
    rf"(?:not\s+(?P<scarce>{_SHAPES})\s+enough"
    r"|(?:less|(?:not\s+)?(?:a\s+bit\s+|much\s+|far\s+)?too|(?:not|nothing|nowhere)\s+"
    r"(?:(?:nearly|near|like|half|remotely)\s+)?(?:so|as|such|that|very|quite)"
    r"|far\s+from(?:\s+(?:so|as))?"
    rf"|not|no|without|never|isn't|aren't)\s+(?:an?\s+|the\s+|any\s+)?(?P<shape>{_SHAPES})"
    rf"(?:[\s-](?P<sleeves>sleeve[sd]?))?)(?!-)(?!\s+(?:{COLORS}|{_PARTS_WITH_CUT}))\b",
    re.IGNORECASE,
)
# "any color so long as it is different", "whatever pattern, provided it changes".
_ANY_DIFFERENT = compile_lazily(
    r"(?<![\w'-])(?:in\s+|with\s+)?(?:any|whatever|whichever|every|some)\s+"
    r"(?P<attribute>colou?r|shade|pattern|print|design)s?\s*,?\s+"
    r"(?:just|only|but|(?:as|so)\s+long\s+as|provided(?:\s+that)?|providing|if|that|which|when)\s+"
    r"(?:(?:it|this|that|they)(?:'s|\s+is|\s+are)?\s+)?(?:is\s+|are\s+)?"
    r"(?:different|differs?|changes?|changed|an?other(?:\s+(?:one|colou?r|pattern))?"
    r"|(?:not|isn't)\s+(?:the\s+same|this|that|it)(?:\s+one)?)"
    r"(?:\s+(?:from|to|than)\s+(?:this|that|it|the\s+(?:picture|photo|image|original)|before)(?:\s+one)?)?"
    rf"{PHRASE_END}",
    re.IGNORECASE,
)
# Text before a phrase that shows that the phrase is part of a list, as in "red and blue".
_IN_LIST = compile_lazily(r"(?:\b(?:and|or|nor)\s+|[/&+]\s*)(?:in\s+)?$", re.IGNORECASE)


def _rephrase_any_different(match: re.Match[str]) -> str:
    """Rephrase a wish for any other color, pattern or design.

    For example, "any color that is different" becomes "in another color".
    """
    attribute = match["attribute"].lower()
    is_color = attribute.startswith(("col", "shade"))
    return "in another color" if is_color else f"with another {attribute}"


@unless_negated
def _rephrase_swap(match: re.Match[str]) -> str | None:
    """Return "in blue" for a phrase such as "blue instead of red"; None to keep it as typed.

    A phrase stays in three cases: if a negation such as "not" stands directly before it; if it is
    part of a list; and if the two colors are similar, since "blue instead of navy" tells which blue
    is wanted.
    """
    if _IN_LIST.search(match.string[: match.start()]):
        return None
    wanted = next(color for color in match.groups() if color).lower()
    names = [name.lower() for name in ANY_COLOR.findall(match[0])]
    [new] = ANY_COLOR.findall(wanted)
    names.remove(new)
    if new in names or any(new in alike and alike.intersection(names) for alike in ALIKE_COLORS):
        return None
    return f"in {wanted}"


@unless_negated
def _drop_former(match: re.Match[str]) -> str | None:
    """Remove a mention of the former color, such as "previously red".

    The result is None, and the phrase stays, if the rest of the text names no color.
    """
    return "" if ANY_COLOR.search(text_around(match)) else None


def _rephrase_but_color(match: re.Match[str]) -> str | None:
    """Rephrase a change of the color: "blue jeans but in gray" becomes "jeans in gray".

    The result is None, and the phrase stays, if the text before it has a negation, or ends with a
    word such as "any": "anything blue but navy" excludes navy. So does "red - anything but navy".
    """
    before = match.string[: match.start()]
    is_of_any = _OF_ANY.search(before) or _OF_ANY.search(f"{match['thing'] or ''} ")
    if is_of_any or negations_in(before):
        return None
    thing, joint, addition = (match["thing"] or match["this"] or "").partition(" with ")
    return f"{thing.strip()} in {match['new']}{joint}{addition}".strip().lower()


@unless_negated
def _rephrase_less(match: re.Match[str]) -> str | None:
    """Rephrase a rejected cut or shade as a comparative: "too long" becomes "shorter".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    if match["scarce"]:
        comparative = _COMPARATIVES[match["scarce"].lower()][0]
    else:
        comparative = _COMPARATIVES[match["shape"].lower()][1]
    if (match["sleeves"] or "").lower().endswith("d"):
        return f"with {comparative} sleeves"
    return f"{comparative} sleeves" if match["subject"] or match["sleeves"] else comparative


@unless_negated
def _rephrase_recolored(match: re.Match[str]) -> str | None:
    """Rephrase a change of a garment's color: "red dress to blue" becomes "dress in blue".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return f"{match['kind']} in {match['new']}".lower()


@unless_negated
def _rephrase_pattern_swap(match: re.Match[str]) -> str | None:
    """Rephrase a change of the pattern: "stripes to dots" becomes "with dots".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before the
    phrase, or if the phrase is part of a list.
    """
    if _IN_LIST.search(match.string[: match.start()]):
        return None
    wanted = _pattern_phrase((match["new"] or match["other"] or match["instead"]).lower())
    return wanted if match["kind"] is None else f"{match['kind'].lower()} {wanted}"


@unless_negated
def _rephrase_thing_swap(match: re.Match[str]) -> str | None:
    """Rephrase a swap: "swap the jeans for a skirt" becomes "as a skirt".

    With a part instead of a garment, "swap the collar for a hood" becomes "with a hood". The result
    is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    kind, detail = match["kind"] or match["into"], match["detail"] or match["part"]
    name = (kind or detail or match["instead"]).lower()
    if name.endswith(ADJECTIVE_ENDINGS):
        return name
    return f"{'as' if kind else 'with'} {name if is_plural(name) else f'a {name}'}"


@unless_negated
def _rephrase_sleeve_swap(match: re.Match[str]) -> str | None:
    """Rephrase a swap of sleeves: "swap long sleeves for short" becomes "with short sleeves".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return "without sleeves" if match["none"] else f"with {match['new']} sleeves".lower()


@unless_negated
def _rephrase_same_except(match: re.Match[str]) -> str | None:
    """Rephrase a single change: "the same except the color: green" becomes "in green".

    If a part changes, the part is named: "the same except the collar: green" becomes "with green
    collar". Without a new value, "the same except the color" becomes "in another color". The result
    is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    attribute, value = match["attribute"].lower(), (match["value"] or "").lower()
    if not value:
        return _wish_for_another(attribute)
    is_sleeve = not ANY_COLOR.search(value) and not _ANY_PATTERN_OR_PLAIN.fullmatch(value)
    if is_sleeve:
        return f"with {value} sleeves"
    is_part = attribute.startswith(("sleeve", "neck", "collar"))
    return f"with {value} {attribute}" if is_part else _wish_for(value)


@unless_negated
def _rephrase_all_but_attribute(match: re.Match[str]) -> str | None:
    """Return "in another color" for "everything but the color".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return _wish_for_another(match["attribute"].lower())


def _wish_for_another(attribute: str) -> str:
    """Return "in another color" for "color" or "colors", and "with another print" for "print"."""
    return f"{'in' if attribute.startswith('col') else 'with'} another {attribute.rstrip('s')}"


def _wish_for(value: str) -> str:
    """Return the phrase that asks for a color or a pattern, such as "in red" for "red"."""
    return f"in {value}" if ANY_COLOR.search(value) else _pattern_phrase(value)


def _pattern_phrase(pattern: str) -> str:
    """Return the phrase that asks for a pattern, such as "with stripes" for "stripes".

    An adjective such as "striped" stays as it is, and "plain" gives "in plain".
    """
    if pattern == "plain":
        return "in plain"
    return pattern if pattern in PATTERN_ADJECTIVES else f"with {pattern}"


ANY_DIFFERENT_RULES: tuple[Rule, ...] = ((_ANY_DIFFERENT, _rephrase_any_different),)
CHANGE_RULES: tuple[Rule, ...] = (
    (_SAME_EXCEPT, _rephrase_same_except),
    (_ALL_BUT_ATTRIBUTE, _rephrase_all_but_attribute),
    (_NOT_ENOUGH, lambda match: _wish_for(match["value"].lower())),
    (_SWAP, _rephrase_swap),
    (_FORMER, _drop_former),
    (_LESS, _rephrase_less),
    (_BUT_COLOR, _rephrase_but_color),
    (_TO_COLOR, lambda match: f"in {match['to'] or match['version'] or match['one']}".lower()),
    (_MADE, _rephrase_recolored),
    (_RECOLORED, _rephrase_recolored),
    (PATTERN_SWAP, _rephrase_pattern_swap),
    (_SLEEVE_SWAP, _rephrase_sleeve_swap),
    (_THING_SWAP, _rephrase_thing_swap),
)


# A value that corrects an earlier one: "red t-shirt. Make that green", "stripes - no, dots".
_COLOR_LIST = rf"{SHADED_COLOR}(?:(?:\s*,\s*|\s*/\s*|\s+)(?:and\s+|or\s+)?{SHADED_COLOR})*"
_LENGTH_OF_SLEEVES = rf"{SLEEVE_LENGTHS}(?=[\s-]sleeve[sd]?\b)"
# Words that only correct after a comma, a full stop or a dash; a comma follows "no". No word may be
# matched both here and in `_CORRECTING`, since the time of a match then doubles with each.
_HESITATING = (
    r"(?:no(?=\s*[,.:;!-]|\s+(?:sorry|actually|make|i\s+mean|scratch|rather|hold|hang|better)\b)"
    r"|nope|nah|sorry|pardon|apologies|(?:wh)?oops|wait|(?:hold|hang)\s+on|ah|oh|er+m?|uh+m?|u+m+|hm+|ok(?:ay)?|well|actually"
    r"|better(?:\s+(?:yet|still))?|rather|instead|my\s+(?:mistake|bad|fault)|correction|edit|update)"
)
_CORRECTING = (
    r"(?:(?:scratch|strike|cancel|undo|forget|ignore|disregard|delete)\s+(?:that|it)|make\s+(?:that|it)"
    r"|(?:change|turn|switch)\s+(?:that|it|this)\s+(?:in)?to"
    r"|(?:let's|let\s+us|lets)\s+(?:make|say|go\s+(?:for|with)|have|try|do|take)(?:\s+(?:that|it))?"
    r"|i\s+(?:(?:really|actually)\s+)?mean(?:t)?(?:\s+to\s+(?:say|write|type))?"
    r"|on\s+second\s+thoughts?|(?:i(?:'ve|\s+have)?\s+)?changed\s+my\s+mind|(?:i\s+)?take\s+(?:that|it)\s+back"
    r"|or\s+(?:rather|better(?:\s+(?:yet|still))?)|no\s+wait)"
)
_GAP = r"[\s,.;:!?()*-]+"
_BEFORE_NEW = (
    r"(?:(?:please|in|with|an?|the|it|it's|that|one|be|to|want|have|get|i|i'd|we|would|will|like|prefer|need"
    r"|make|should|say|now)[\s,]+){0,8}"
)
# Words that correct after the new value, as in "green, sorry".
_MARKED_AFTER = r"[\s,.;(-]+(?:i\s+meant?|sorry|actually|rather(?!\s+than)|instead(?!\s+of))"
_ANY_PATTERN_NAME = rf"(?:{PATTERN_OR_PLAIN})(?![\w'-])"
_NEW_COLOR = (
    rf"{_GAP}{_BEFORE_NEW}{SHADED_COLOR}(?![\w'-]|\s+(?:{PATTERN_NAMES}|{ANY_PART}|sleeves?)\b)"
)
_CORRECTION = compile_lazily(
    rf"(?<!\bbut)(?:(?P<marked>(?:\s*[,.;!?(*-]+\s*|\s+-+\s*){_HESITATING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    rf"|{_GAP}{_CORRECTING}(?:{_GAP}(?:{_HESITATING}|{_CORRECTING}))*"
    # A value that is corrected itself: ", green, sorry, blue".
    rf"|(?P<chain>(?:\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?:{_COLOR_LIST}{_MARKED_AFTER}(?={_NEW_COLOR})"
    rf"|{_ANY_PATTERN_NAME}{_MARKED_AFTER}(?={_GAP}{_BEFORE_NEW}{_ANY_PATTERN_NAME}))))"
    rf"{_GAP}|\s*[,.;!?(]+\s*|\s+-+\s+){_BEFORE_NEW}"
    rf"(?=\w)(?P<color>{_COLOR_LIST})?(?:(?:(?<=\w)\s+)?(?P<pattern>{_ANY_PATTERN_NAME}))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<sleeves>{SLEEVE_LENGTHS})(?:(?:[\s-]sleeve[sd]?|\s+ones?)|(?=\s*(?:$|[,.;!?]))))?"
    rf"(?:(?:(?<=\w)\s+)?(?P<kind>{KINDS}))?(?<![\s,.;:!?()*-])"
    rf"(?(marked)|{_MARKED_AFTER}(?(color)(?!{_NEW_COLOR})))"
    r"(?:\s+(?:ones?|version|instead|rather|please|then|though))*"
    rf"(?:\)|{PHRASE_END})(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
# "no, in red", which answers what a person has seen.
_LEADING_NO = compile_lazily(
    r"^\W*(?:(?:oh|well|ah|um+|hm+)[\s,.]+)?(?:no|nope|nah|sorry|oops|actually)\s*[,.;:!]+\s*"
    r"(?:(?:i\s+meant?|make\s+(?:it|that))[\s,:]+)?"
    rf"(?P<wish>(?:in\s+|with\s+)?(?:an?\s+)?(?:{_COLOR_LIST}|{PATTERN_OR_PLAIN})){PHRASE_END}"
    r"(?!\s*[?:=-]+\s*(?:no|none|nope|never|off|false)\b)",
    re.IGNORECASE,
)
_CORRECTED = {
    "color": compile_lazily(rf"(?<![\w'-])(?:{_COLOR_LIST})(?![\w'-])", re.IGNORECASE),
    "pattern": compile_lazily(rf"(?<![\w'-]){_ANY_PATTERN_NAME}", re.IGNORECASE),
    "sleeves": compile_lazily(rf"(?<![\w'-])(?:{_LENGTH_OF_SLEEVES})", re.IGNORECASE),
    "kind": ANY_KIND,
}
_ADJECTIVE_OF = {
    "stripes": "striped",
    "flowers": "floral",
    "checks": "checked",
    "dots": "dotted",
    "spots": "spotted",
    "prints": "printed",
}
# What follows a color that is not that of the garment: "red sleeves", "white dots".
_OF_A_PART = compile_lazily(
    rf"\s+(?:(?:{SLEEVE_LENGTHS})[\s-])?(?:{ANY_PART}|sleeves?|{PATTERN_NAMES})(?![\w'-])(?!\s+(?:{KINDS})\b)",
    re.IGNORECASE,
)
_AFTER_NEGATION = compile_lazily(
    rf"(?<![\w'-])(?:not|never|nothing|no|nor|without|\w+n't|{ANY_NEGATION})(?:\s+[\w'-]+){{0,3}}\s+$",
    re.IGNORECASE,
)


def apply_corrections(text: str, changes: dict[str, str]) -> str:
    """Replace values that a text corrects: "red t-shirt, make that green" becomes "green t-shirt".

    The replaced value is the last one before the correction that has the same type (color, pattern,
    sleeve length or kind of garment) and is not excluded. The text stays as typed if there is no
    such value, or if the correction names a kind and the text before it names several kinds.

    Args:
        text: The text.
        changes: A dict to which this function adds the replacement of each corrected phrase.
    """
    start = 0
    former: tuple[int, int, str] | None = None  # span of the last replacement, and what was typed
    while match := _CORRECTION.search(text, start):
        values = {name: value for name in _CORRECTED if (value := match[name])}
        targets = {name: _find_corrected(name, text[: match.start()]) for name in values}
        spans = {name: span for name, span in targets.items() if span is not None}
        if not spans or ("kind" in values and len(ANY_KIND.findall(text[: match.start()])) > 1):
            # A value that is followed by "sorry" may be the one that the next value corrects.
            only_marked = match["marked"] and not match["chain"]
            start = match.end() if only_marked else match.start() + 1
            continue
        replaced: dict[str, str] = {}
        before = ""  # values without an earlier one come before the next value, or after the last
        for name, value in values.items():
            before = f"{before} {value}".strip()
            if name in spans:
                replaced[name], before = before, ""
        last = list(replaced)[-1]
        replaced[last] = f"{replaced[last]} {before}".strip()
        first = start = min(begin for begin, _ in spans.values())
        read = text[: match.start()]
        for name, (begin, stop) in sorted(spans.items(), key=lambda item: -item[1][0]):
            new = _in_form_of(read[begin:stop].lower(), replaced[name].lower())
            read = read[:begin] + new + read[stop:]
        stop, typed = match.end(), text[first : match.end()]
        if former is not None and first < former[1]:  # it corrects a correction: one change
            changes.pop(former[2].strip(), None)
            first, stop = min(first, former[0]), max(stop, former[1])
            typed = text[first : former[0]] + former[2] + text[former[1] : stop]
        read += text[match.end() : stop]
        changes[typed.strip()] = read[first:]
        former, text = (first, len(read), typed), read + text[stop:]
    return text


def _find_corrected(name: str, before: str) -> tuple[int, int] | None:
    """Return the span of the value that a correction replaces; None if there is no such value.

    This is the last value of the given type before the correction. Values that the text excludes do
    not count, nor do colors of a part, such as "red sleeves".

    Args:
        name: The type, such as "color", a key of `_CORRECTED`.
        before: The text before the correction.
    """
    spans = [
        match.span()
        for match in _CORRECTED[name].finditer(before)
        if not _AFTER_NEGATION.search(before[: match.start()])
        and not (name == "color" and _OF_A_PART.match(before, match.end()))
    ]
    return spans[-1] if spans else None


def _in_form_of(old: str, new: str) -> str:
    """Return a new pattern as a noun or as an adjective, whichever the old pattern is.

    For example, "dots" in place of "striped" becomes "dotted". Values of other types, such as
    colors, stay as they are.

    Args:
        old: The replaced value, in lower case.
        new: The value that replaces it, in lower case.
    """
    if old in _ADJECTIVE_OF.values():
        return _ADJECTIVE_OF.get(new, new)
    if old in _ADJECTIVE_OF:
        return next((noun for noun, adjective in _ADJECTIVE_OF.items() if adjective == new), new)
    return new


LEADING_NO_RULES: tuple[Rule, ...] = ((_LEADING_NO, lambda match: match["wish"].lower()),)
