"""Rephrasing of exclusions and comparisons in texts that people type.

A model follows some phrases better than others that mean the same. `rephrase_exclusions` replaces
phrases that exclude, compare or change something, such as "never red", "less long" and "blue jeans
but in gray", with phrases that the bundled checkpoint follows better. Words of a request that name
nothing to find are left out: "do you have this in white" becomes "in white". `wanted_words` returns
what remains of a text without words that say nothing about clothes.

The rules are in the package `rephrasing_rules`.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.color_words import leave_out_colors_of_names
from dwc.modeling.double_negation import WISHES_WITH_NEGATIONS
from dwc.modeling.rephrasing_rules.changes import (
    ANY_DIFFERENT_RULES,
    CHANGE_RULES,
    LEADING_NO_RULES,
    PATTERN_SWAP,
    apply_corrections,
)
from dwc.modeling.rephrasing_rules.garment_terms import COMPOUND_RULES, SLIP_RULES, TERM_RULES
from dwc.modeling.rephrasing_rules.refusals import (
    EXCLUSION_RULES,
    ONLY_VALUE,
    REFUSAL_RULES,
    rephrase_only,
)
from dwc.modeling.rephrasing_rules.vocabulary import (
    ANY_THING_NAME,
    Rule,
    make_singular,
    rephrase_all,
    text_around,
)
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.exclusions import find_exclusions
from dwc.negation.garment_words import PATTERN_OR_PLAIN

# Words that say nothing about a garment by themselves: "the same item in another color".
_VAGUE = FUNCTION_WORDS | frozenset(
    {"thing", "item", "garment", "piece", "look", "style", "version", "picture", "photo", "image"}
    | {"color", "colour", "colors", "colours", "pattern", "something", "anything", "everything"}
    | {"similar", "exactly", "different", "still", "keep", "show", "find", "give", "get", "thanks"}
)
# "keep the stripes", "the color stays": what does not change.
_ATTRIBUTE = r"(?:colou?r|pattern|print|shape|length|style|cut|fit|fabric|material|neckline)s?"
_UNCHANGED = compile_lazily(
    r"(?:(?<=^)|(?<=[,;.]\s)|(?<=\band\s)|(?<=\bbut\s))(?:(?:please\s+)?(?:keep|leave|retain)\s+(?:(?:the|its|this|that)\s+)?"
    rf"(?:same\s+)?(?:{ANY_THING_NAME}|{_ATTRIBUTE})(?:\s+(?:as\s+(?:it\s+|they\s+)?(?:is|are)|the\s+same))?"
    rf"|(?:(?:the|its)\s+)?{_ATTRIBUTE}\s+(?:(?:should\s+)?(?:stays?|remains?)(?:\s+the\s+same)?"
    r"|as\s+(?:it\s+)?is))(?=\s*(?:$|[,;.!]|(?:but|and)\b))",
    re.IGNORECASE,
)


def _drop_unchanged(match: re.Match[str]) -> str | None:
    """Remove a request to leave something unchanged, such as "keep the stripes".

    The result is an empty text. But if the rest of the text asks for nothing, the result is None,
    and the phrase stays.
    """
    return "" if wanted_words(text_around(match)) else None


UNCHANGED_RULES: tuple[Rule, ...] = ((_UNCHANGED, _drop_unchanged),)

# Phrases that ask for something without saying what: "do you have this in white?", "how about
# white". Models take their words for wishes.
_GREETING = r"(?:hi|hello|hey|ok|okay|well|yes|so|please|pls|plz)\b[\s,!.]*"
_REQUESTING = (
    r"(?:(?:do|would)\s+you\s+(?:guys\s+|also\s+)*(?:have|got|sell|stock|carry)|have\s+you\s+got|got"
    r"|(?:can|could|may|might)\s+(?:i|we|you)(?:\s+please)?\s+(?:also\s+)?"
    r"(?:get|have|see|find|order|buy|(?:show|give|find|get)\s+me)"
    r"|(?:is|are)\s+there|(?:how|what)\s+about|(?:show|find|give|get|send)\s+me"
    r"|(?:(?:i|we)(?:'m|\s+am|'re|\s+are)?\s+(?:(?:just|really|now)\s+)*)?(?:looking|searching)\s+for"
    r"|(?:i|we)(?:'d|\s+would)?\s+(?:(?:really|much)\s+)*(?:like|prefer|love|want|need)"
    r"(?:\s+to\s+(?:have|see|get|buy|find|order))?)(?!\s+(?:to|that|when|how|if|your|my|the\s+way)\b)"
)
_REQUESTED_THING = (
    r"(?:\s+(?:an?|the|any|some)?\s*(?:this|it|that|these|those|them|something|anything|one|ones"
    r"|(?:(?:same|similar)\s+)?(?:version|thing|item|one|model)s?|the\s+same)\b(?:\s+of\s+(?:this|it|that))?)?"
    r"(?:\s+(?:similar|like\s+(?:this|it|that)(?:\s+one)?)\b)?(?:\s+(?:but|only|that\s+is|which\s+is)\b)?"
)
_REQUEST = compile_lazily(
    rf"^(?:{_GREETING})*(?:{_REQUESTING}{_REQUESTED_THING}|(?<=\s))[\s,:]+(?=[^\W\d_])",
    re.IGNORECASE,
)
_REQUEST_END = compile_lazily(
    r"[\s,]*(?:(?<=[\s,])(?:please|pls|plz|thanks|thank\s+you|thx|if\s+possible|for\s+me|in\s+my\s+size"
    r"|would\s+be\s+(?:nicer?|better|great|good|lovely|perfect|ideal|best)"
    r"|if\s+you\s+have\s+(?:it|one|any|some)))?[\s?!.]*$",
    re.IGNORECASE,
)


def drop_request(text: str) -> str:
    """Remove the words of a request: "do you have this in white?" becomes "in white".

    The text stays as it is if nothing about clothes would remain.
    """
    rest = _REQUEST.sub("", text)
    while (shorter := _REQUEST_END.sub("", rest)) != rest:
        rest = shorter
    return rest if rest and (wanted_words(rest) or find_exclusions(rest)[0]) else text


def wanted_words(rest: str) -> str:
    """Return what a text asks for, such as "striped dress"; empty if it says nothing about clothes.

    Words such as "and" and punctuation are removed at both ends of the text.

    Args:
        rest: The text without what it excludes; see `dwc.negation.exclusions.find_exclusions`.
    """
    words = re.findall(r"[^\W\d_]+", rest.lower())
    if _VAGUE.issuperset(words):
        return ""
    return _JOINTS_AT_ENDS.sub("", rest)


_REPEATED_JOINTS = compile_lazily(r"\s*([,;.])\s*(?:[,;.]\s*|(?:and|but)\b\s*)*", re.IGNORECASE)
_JOINTS_AT_ENDS = compile_lazily(
    r"^(?:\W|(?:and|or|but)\b)+|(?:\W|\b(?:and|or|but|in|with))+$", re.IGNORECASE
)


def remove_extra_joints(text: str) -> str:
    """Return a text without the commas and words such as "and" that join nothing."""
    return _JOINTS_AT_ENDS.sub("", _REPEATED_JOINTS.sub(r"\1 ", text))


# "in any color but not red", in which "any color but" is no negation.
_ANY_COLOR_BUT_NOT = compile_lazily(
    r"(?<![\w'-])((?:any|every|all)\s+colou?rs?)\s*,?\s*but\s+(?=(?:not|no|never|without)\b)",
    re.IGNORECASE,
)
# "any shirt as long as it isn't red": a condition that all results must meet.
_AS_LONG_AS = compile_lazily(
    r"(?:,?\s|^)(?:as|so)\s+long\s+as\s+(?:it|they|that|this)(?:'s|\s+(?:is|are)(?!n't))?\s",
    re.IGNORECASE,
)
_ANY_COLOR_BAR = compile_lazily(
    r"(?<![\w'-])((?:any|every|all)\s+colou?rs?)\s+bar\b", re.IGNORECASE
)
_IS_EXCLUDED = compile_lazily(r"\bplain\b|with a pattern")  # what excluded patterns are read as
_EXCLUDED_PATTERN = compile_lazily(rf"\b(?:{PATTERN_OR_PLAIN})\b", re.IGNORECASE)
_REPEATED_PLAIN = compile_lazily(r"\bin plain(?:(?:,\s*|\s+(?:and\s+)?)in plain\b)+")


class Rephrased(NamedTuple):
    """The result of `rephrase_exclusions`.

    Attributes:
        text: The rephrased text.
        changes: Pairs of the phrase as typed and the phrase that replaced it, in order.
        excluded: Patterns, parts and cuts that the given text excludes but `text` does not name, in
            lower case: "stripes" if "no stripes" became "in plain", "short sleeves" if "no short
            sleeves" became "longer sleeves".
    """

    text: str
    changes: tuple[tuple[str, str], ...] = ()
    excluded: tuple[str, ...] = ()


# Texts of these words alone are changed by no rule, such as "darker, with long sleeves". Many texts
# are like that. The rules, which take a third of a second to compile, are not compiled for them.
_UNCHANGED_WORDS = frozenset({
    "black", "white", "gray", "grey", "red", "pink", "orange", "yellow", "green", "teal", "blue",
    "navy", "purple", "brown", "beige", "dress", "skirt", "shirt", "t-shirt", "top", "blouse",
    "jacket", "coat", "jumper", "hoodie", "bag", "and", "with", "in", "as", "a", "an", "darker",
    "lighter", "longer", "shorter", "dark", "light", "long", "short", "sleeves", "striped",
    "stripes", "dotted", "dots", "checked", "checks", "floral", "flowers", "pockets", "buttons",
})  # fmt: skip


def rephrase_exclusions(text: str) -> Rephrased:
    """Replace exclusions and comparisons by phrases that models follow best.

    "never red", "anything but red" and "lose the red" all exclude red, but a model follows some
    phrases better than others. This function uses the phrases that the bundled checkpoint follows
    best, as measured on drawings and photographs (`tests/bench/test_exclusion_phrases.py`):

    - a color: "not red"; after other words: "dress but not red";
    - a pattern: "in plain", unless the text names another pattern ("no stripes, with dots");
    - a part: "no hood"; sleeves: "without sleeves";
    - a value with a single opposite: "not sleeveless" becomes "with sleeves";
    - a color that replaces another one: "blue instead of red" and "from red to blue" become "in
      blue", since a model confuses which of two colors is wanted; "red dress to blue" and "red
      dress but in blue" become "dress in blue";
    - a pattern that replaces another one: "stripes to dots" becomes "with dots";
    - what does not change: "keep the stripes" is removed, if the text also asks for something;
    - words of a request: "do you have this in white" becomes "in white";
    - a complaint about a color or a pattern: "red clashes with my hair" becomes "not red";
    - a cut or a shade: "not long", "less long" and "too long" become "shorter", "no short sleeves"
      becomes "longer sleeves".

    Phrases that a model misunderstands because of a single word are rephrased as well: "nothing but
    red" becomes "only red", "dress shoes" becomes "shoes", "jeans jacket" becomes "denim jacket".

    Before that, the color of a name is left out ("Black Friday" becomes "Friday"), phrases with a
    negation that ask for something become a wish ("no t-shirt that is not black" becomes "black
    t-shirt"), and a correction replaces the value that it corrects: "red t-shirt. No, green" and
    "red t-shirt, make that green" become "green t-shirt". "No, green" alone becomes "green".

    Then refusals become exclusions: "a different color from white", "spare me white" and "cut the
    white" become "not white", "leave the white t-shirts out" becomes "t-shirt, not white", "high
    heels are out" becomes "without high heels", "no blue jeans" becomes "jeans, not blue", "less
    striped" becomes "not striped". After that, plurals of garments become singulars: "tops" becomes
    "top".

    The setting `rephrase_exclusions` of a checkpoint's processor enables this function. A message
    tells the user which phrases were replaced (`TypedText.respelled`).

    Some phrases stay as they are: exclusions of other things, such as a kind of garment; and
    exclusions after a negation, such as "not without a belt".

    Args:
        text: A text in which `dwc.negation.spelling.spell_out_negations` was applied.
    """
    if _UNCHANGED_WORDS.issuperset(text.lower().replace(", ", " ").split(" ")):
        return Rephrased(text)
    return _apply_rules(text)


def _apply_rules(text: str) -> Rephrased:
    """Return the text after all rules, as described at `rephrase_exclusions`."""
    text, names = leave_out_colors_of_names(text)
    changes = dict(names)
    text = rephrase_all(text, WISHES_WITH_NEGATIONS, changes)
    text = rephrase_all(text, LEADING_NO_RULES, changes)
    text = apply_corrections(text, changes)
    corrections = frozenset(changes)
    text = rephrase_all(text, ANY_DIFFERENT_RULES, changes)
    text = _ANY_COLOR_BUT_NOT.sub(r"\1, ", _ANY_COLOR_BAR.sub(r"\1 but", text))
    text = _AS_LONG_AS.sub(", ", text)
    text = rephrase_all(text, _TO_EXCLUSIONS, changes)
    details = [item.name for item in find_exclusions(text)[0] if item.type == "detail"]
    changes |= {match[0].strip(): rephrase_only(match) for match in ONLY_VALUE.finditer(text)}
    text = ONLY_VALUE.sub(rephrase_only, text)
    text = rephrase_all(text, _REPHRASED, changes)
    excluded = [
        name.lower()
        for typed, read in changes.items()
        if _IS_EXCLUDED.search(read)
        and typed not in corrections
        and not PATTERN_SWAP.fullmatch(typed)
        for name in _EXCLUDED_PATTERN.findall(typed)
    ]
    text = make_singular(_REPEATED_PLAIN.sub("in plain", text))
    if "" in changes.values():
        text = remove_extra_joints(text)
    text = drop_request(text)
    # "The same except the collar: green" excludes nothing; it became "with green collar".
    lower = text.lower()
    excluded += [name for name in details if not re.search(rf"\b{re.escape(name)}\b", lower)]
    return Rephrased(text, _join_changes(changes), tuple(dict.fromkeys(excluded)))


def _join_changes(changes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return a pair for each replaced phrase: the typed phrase and the phrase that it became.

    A phrase may have been replaced twice: "short sleeves are out" by "without short sleeves", and
    this phrase by "longer sleeves". The result has one pair for both changes: ("short sleeves are
    out", "longer sleeves").

    Args:
        changes: The replacement of each phrase, in the order in which they were replaced.
    """
    joined: dict[str, str] = {}
    for replaced, read in changes.items():
        former = next((typed for typed, last in joined.items() if replaced in last), None)
        if former is None:
            joined[replaced] = read
        else:
            joined[former] = joined[former].replace(replaced, read).replace(", but not", " but not")
    return tuple((typed, make_singular(read)) for typed, read in joined.items())


# Phrases that are read as other exclusions, to which `_REPHRASED` is applied then.
_TO_EXCLUSIONS = (*SLIP_RULES, *REFUSAL_RULES)
_REPHRASED = (*UNCHANGED_RULES, *COMPOUND_RULES, *CHANGE_RULES, *TERM_RULES, *EXCLUSION_RULES)
