"""Words of a request that name nothing to find: "do you have this in white" becomes "in white".

`wanted_words` returns what remains of a text without words that say nothing about clothes.
"""

import re

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.rule import Rule, text_around
from dwc.modeling.rephrasing_rules.vocabulary import ANY_THING_NAME
from dwc.modeling.text_cleaning import FUNCTION_WORDS
from dwc.negation.exclusions import find_exclusions

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
