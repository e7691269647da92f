"""Rules for what a text refuses: "avoid red" becomes "not red", "spare me white" "not white".

Phrases that exclude something indirectly are read in the same way: "less striped", "a different
color from white", "rather a skirt than a dress". The rules for exclusions of colors, patterns and
parts are applied to the results.
"""

import re
from functools import lru_cache

from dwc.lazy_pattern import compile_lazily
from dwc.modeling.rephrasing_rules.vocabulary import (
    ADJECTIVE_ENDINGS,
    AFTER_COLOR,
    ANY_THING_NAME,
    BARE_VALUE,
    BETWEEN,
    EXCLUDED_THINGS,
    EXCLUDING_MODALS,
    EXCLUDING_VERBS,
    IS_REJECTED,
    NEGATIONS_OF_ALL,
    NEGATIONS_OF_FIRST,
    OPPOSITE,
    OPPOSITES,
    PERSON,
    PHRASE_END,
    VALUE,
    VALUE_LIST,
    Rule,
    is_plural,
    is_same_kind,
    pattern_of,
    text_around,
    unless_negated,
)
from dwc.negation.exclusions import ONLY, REMOVING
from dwc.negation.garment_words import (
    ANY_COLOR,
    ANY_PATTERN,
    DETAIL,
    KINDS,
    PATTERN_NAMES,
    PATTERNS,
    SHADED_COLOR,
    find_kind,
)

_ABSENT_PART = compile_lazily(
    r"(?<![\w'-])(?P<part>hood|collar|button|zip|belt|lace|strap|pocket|buckle)less(?![\w'-])",
    re.IGNORECASE,
)
# Rejected parts, cuts and kinds of garments: "long sleeves are a no-go", "skirts are out". Up to
# two other words may come before the name, such as "puffy".
_REJECTED_DETAIL = compile_lazily(
    r"(?:(?<=^)|(?<=[,.;:!?]\s)|(?<=\bbut\s)|(?<=\band\s)|(?<=\bsince\s)"
    r"|(?<=\bbecause\s))(?:the\s+|any\s+)?(?P<thing>(?:(?!but\b|and\b|the\b|any\b|since\b|because\b)[\w'-]+\s+){0,2}?"
    rf"(?:{DETAIL}|{KINDS}))\s+{IS_REJECTED}{PHRASE_END}",
    re.IGNORECASE,
)
# "lose the long sleeves": parts and cuts after verbs, which models overlook.
_REMOVED_MOTIF = compile_lazily(
    rf"(?<![\w'-])(?:{REMOVING})\s+(?:the|that|this|its|those|these)\s+"
    r"(?:picture|image|drawing|animal|cartoon|word|letter|photo|motif)s?"
    rf"(?:\s+on\s+(?:the\s+|its\s+)?(?:front|back|chest))?{PHRASE_END}",
    re.IGNORECASE,
)
_REMOVED_DETAIL = compile_lazily(
    rf"(?<![\w'-])(?:{REMOVING})\s+(?:(?:the|any|those|these|its)\s+)?(?P<thing>{DETAIL}){PHRASE_END}",
    re.IGNORECASE,
)
# "less striped", "too many flowers", "too red", "as few stripes as possible", "not as red".
_LESS_PATTERN = compile_lazily(
    rf"(?<![\w'-])(?:(?:less|fewer)\s+(?P<pattern>{'|'.join(PATTERNS)})"
    r"|(?:a\s+bit\s+|a\s+little\s+|way\s+|far\s+|much\s+)?too(?:\s+(?:many|much))?\s+"
    rf"(?P<value>{BARE_VALUE})(?:\s+(?:ones?|things|clothes))?(?:\s+already)?"
    rf"|(?:with\s+)?as\s+(?:few|little)\s+(?P<least>{BARE_VALUE})\s+as\s+possible"
    rf"|(?:not|nothing)\s+(?:quite\s+|nearly\s+)?(?:so|as|that)\s+(?P<color>{SHADED_COLOR})){PHRASE_END}",
    re.IGNORECASE,
)
_EACH_THING = compile_lazily(rf"(?<![\w'-]){ANY_THING_NAME}(?![\w'-])", re.IGNORECASE)
_EXCEPT = (
    r"(?:but|except(?:\s+for)?|excepting|excluding|save(?:\s+for)?|besides?|bar"
    r"|(?:apart|aside)\s+from|other\s+than|than)"
)
# "any dress but red", "in all shades but red", "another color than red", "something but red". "But
# in red" after the name of a garment asks for red.
_ALL_BUT = compile_lazily(
    r"(?<![\w'-])(?:(?:in|with|of)\s+)?(?:(?:any|all|each|every|another|other)\s+"
    r"(?:of\s+(?:the|these|your)\s+)?(?:other\s+|different\s+)?(?:the\s+)?"
    rf"(?:(?:colou?r(?:ed)?|shade|pattern|kind|sort|type)s?\s+(?:of\s+)?)?(?:(?P<kind>{KINDS})"
    r"|(?:colou?r|shade|pattern|print|design|thing|one|style|type|sort|kind|garment|item|piece|product"
    r"|clothes|clothing)s?)"
    r"|some\s+(?:other\s+)?(?:colou?r|shade|pattern|print|design)s?|something|someone"
    r"|(?:any|every)\s*thing\s+else)"
    rf"\s*,?\s*{_EXCEPT}\s+(?:with\s+|an?\s+|the\s+|any\s+)*"
    rf"(?P<things>{ANY_THING_NAME}(?:(?:\s*,\s*(?:(?:or|and|nor)\s+)?|\s+(?:or|and|nor)\s+)"
    rf"(?:in\s+|an?\s+|the\s+)?{ANY_THING_NAME})*){AFTER_COLOR}{PHRASE_END}",
    re.IGNORECASE,
)
# "less like a jacket", "more cardigan than jacket", "more like a cardigan, less like a jacket",
# "rather a skirt than a dress".
_LESS_LIKE = compile_lazily(
    rf"(?<![\w'-])less\s+(?:like|of)\s+(?:an?\s+)?(?P<old>{KINDS}){PHRASE_END}"
    rf"|(?<![\w'-])(?:more|rather)\s+(?:like\s+|of\s+)?(?:an?\s+)?(?P<new>{KINDS})"
    rf"\s*(?:,\s*(?:and\s+)?less|than)\s+(?:like\s+|of\s+)?(?:an?\s+)?(?P<former>{KINDS}){PHRASE_END}",
    re.IGNORECASE,
)
_PUT = r"leave|take|keep|rule|throw|kick|cut|get|filter|sort|weed|edit"
_PUT_ELSEWHERE = compile_lazily(rf"\b(?:{_PUT})\s[^,.;:!?]*$", re.IGNORECASE)
# Values that a text may exclude of one kind of garment.
_VALUE_OF_KIND = (
    rf"(?:{SHADED_COLOR}|{'|'.join(PATTERNS)}|hooded|collared|belted|sleeveless"
    r"|(?:long|short)[\s-]sleeved?)"
)
_EACH_VALUE_OF_KIND = compile_lazily(rf"(?<![\w'-]){_VALUE_OF_KIND}(?![\w'-])", re.IGNORECASE)
_PATTERN_NOUNS = "stripes|flowers|checks|dots|spots|polka[ -]dots|prints|graphics|logos|patterns"
# "red out, blue in", "less of the red", "checks less"; but "back cut out" describes a cut.
_PUT_OUT = compile_lazily(
    rf"(?<![\w'-])(?:(?:less|fewer)\s+of\s+(?:the|that|those|this)\s+(?P<less>{ANY_THING_NAME})"
    rf"|(?P<out>(?!cut\b){ANY_THING_NAME})\s+out"
    rf"|(?:with\s+)?(?P<lacking>{_PATTERN_NOUNS})\s+less){PHRASE_END}",
    re.IGNORECASE,
)
# A list needs "or" or "and": "forget red, green t-shirt" excludes red alone.
_VALUES_OF_KIND = (
    rf"{_VALUE_OF_KIND}(?:(?:(?:\s*,\s*{_VALUE_OF_KIND})*"
    rf"(?:\s*,)?\s*\b(?:or|nor|and))?\s+{_VALUE_OF_KIND})*"
)
_THINGS_IN_LIST = (
    rf"{ANY_THING_NAME}(?:(?:\s*,\s*{ANY_THING_NAME})*(?:\s*,)?\s*\b(?:or|nor|and)\s+(?:the\s+|in\s+|an?\s+)?"
    rf"{ANY_THING_NAME})?"
)
# What verbs exclude: "white", "the white ones", "checks or dots", "the white t-shirts".
_UNWANTED_ARTICLE = r"(?:(?:the|all|any|those|these|that|this|its|an?|every|in|with)\s+)*"
_UNWANTED_KIND = (
    rf"(?P<values>{_VALUES_OF_KIND})"
    rf"\s+(?P<kind>{KINDS})(?:\s+(?:and|or)\s+(?:the\s+)?(?P<others>{BARE_VALUE})\s+ones)?"
)
_UNWANTED = rf"{_UNWANTED_ARTICLE}(?:{_UNWANTED_KIND}|(?P<things>{_THINGS_IN_LIST}){AFTER_COLOR})"
# "steer clear of black t-shirts", "I'm done with black trousers".
_REFUSED_KIND = compile_lazily(
    rf"(?<![\w'-]){PERSON}(?P<verb>{EXCLUDING_VERBS}|no\s+more|(?:do(?:n't|\s+not))\s+want)\s+(?P<of>of\s+)?"
    rf"{_UNWANTED_ARTICLE}{_UNWANTED_KIND}{PHRASE_END}",
    re.IGNORECASE,
)
_BUT_ANOTHER = compile_lazily(r"\s*,?\s*but\s+(?!(?:not|no|without)\b)", re.IGNORECASE)
# "give black t-shirts a miss", "kiss black t-shirts goodbye".
_MISSED = compile_lazily(
    rf"(?<![\w'-])(?:give|kiss|wave)\s+{_UNWANTED}\s+(?:a\s+(?:miss|rest|pass|break)|goodbye){PHRASE_END}",
    re.IGNORECASE,
)
_DO_NOT = r"(?:do(?:n't|\s+not)|never)"
# Verbs that exclude what comes after them, such as "forget about cotton"; what stands between
# their words ("leave cotton out"); and what comes before them ("cotton excluded"). The search's
# notes name them where the thing is unknown. The noun "cut" has no article after it ("a cut in
# red").
SPARING = (
    r"(?:(?:spare|save)\s+(?:me|us)(?:\s+from)?|(?:let's\s+)?forget(?:\s+about)?"
    r"|(?:hard\s+)?pass\s+on|stop\s+(?:it\s+)?with|(?:do\s+)?away\s+with|to\s+hell\s+with|dispense\s+with"
    r"|(?:ignore|disregard|quit|nix|axe|scrap|dump|erase|banish|purge|subtract|deduct|strip\s+(?:out|away)"
    r"|(?:leave|filter|weed|throw|rule|edit|wipe|take|keep|cross|sort)\s+out)"
    r"|(?<!\ba\s)(?<!\bthe\s)(?<!\bshort\s)(?<!\bdeep\s)(?<!\blow\s)(?:cut|hold|kill|strike|bin|toss|chuck)"
    r"(?=\s+(?:the|all|those|these|that)\s)"
    rf"|{_DO_NOT}\s+(?:give|show|send|bring|offer|suggest|recommend|find|get)\s+(?:me|us)"
    rf"|{_DO_NOT}\s+(?:include|suggest|recommend|pick|choose|add|use|bring\s+up|make\s+it|show)"
    r"|(?:^|(?<=[,.;:!?-]\s))(?:(?:down|off)\s+with|so\s+over))"
)
OVER = (
    r"(?:i(?:'m|\s+am)|we(?:'re|\s+are)|get|getting|got)\s+(?:so\s+|totally\s+|completely\s+)?over"
)
LEAVING, LEFT_OUT = (
    rf"(?:{_PUT}|wipe|toss)",
    r"(?:out|off|away|aside)",
)
TAKEN_OUT = (
    r"(?:(?:cut|left|taken|kept|edited|filtered|ruled|crossed|wiped|thrown|weeded)\s+(?:out|off|away)"
    r"|removed|deleted|erased|omitted|dropped|excluded|eliminated|banned|forbidden|excepted|gone)"
)
_IT = r"(?:\s+of\s+(?:it|this|that|the\s+(?:results?|list|search|picture|selection)))?"
# "leave the stripes out", "take the hood off", "keep the white t-shirts out of it".
_LEFT_OUT = compile_lazily(
    rf"(?<![\w'-])(?:please\s+)?{LEAVING}\s+{_UNWANTED}\s+{LEFT_OUT}{_IT}{PHRASE_END}",
    re.IGNORECASE,
)
# "spare me the white", "forget about stripes", "don't show me white ones", "cut the checks". "Down
# with" joins words ("button down with"), except at the start of a sentence.
_SPARED = compile_lazily(
    r"(?<![\w'-])(?:please\s+)?(?:(?:(?:i|we)(?:'d|'ll|'m|'re|\s+would|\s+will|\s+am|\s+are)?\s+)?(?:just\s+)?"
    rf"(?:{SPARING}"
    rf"|(?<!-)cut\s+out(?=\s+(?:(?:the|all|those|these|that|any)\s|{SHADED_COLOR}\b|{PATTERN_NAMES})))"
    rf"|{OVER}(?=\s+(?:the\s+)?{BARE_VALUE}))\s+{_UNWANTED}{_IT}{PHRASE_END}",
    re.IGNORECASE,
)
# "with the checks cut out", "checks removed", "the white t-shirts left out". Of cuts, "waist cut
# out" describes one.
_TAKEN_OUT = compile_lazily(
    r"(?<![\w'-])(?:(?:with|but|have|having|want|get|anything|everything)\s+)?(?:(?:the|all|any|those|these|its)\s+)*"
    rf"(?:(?P<values>{_VALUES_OF_KIND})"
    rf"\s+(?P<kind>{KINDS})|(?P<things>{VALUE_LIST}){AFTER_COLOR})"
    r"\s+(?:(?:is|are|be|to\s+be|(?:should|must)\s+be|being)\s+)?"
    rf"{TAKEN_OUT}{_IT}{PHRASE_END}",
    re.IGNORECASE,
)
# "a different color from white", "a pattern that differs from checks", "different to white".
_ATTRIBUTE_NAME = r"(?:colou?r|shade|hue|tone|pattern|print|design|motif)s?"
DIFFERING = rf"differs?(?:\s+in\s+{_ATTRIBUTE_NAME})?\s+from"
_DIFFERENT = compile_lazily(
    r"(?<![\w'-])(?:(?:in|with|of|has|have)\s+)?(?:(?:any|some|an?|the|all|every)\s+)?"
    rf"(?:(?:(?:other|very|completely|totally|entirely|quite)\s+)*(?:different|distinct)\s+{_ATTRIBUTE_NAME}"
    r"\s+(?:from|than|compared\s+(?:to|with))"
    rf"|(?:an?other|different|other)\s+{_ATTRIBUTE_NAME}\s+from"
    rf"|(?:(?:other\s+)?(?:{_ATTRIBUTE_NAME}|things?|ones?|something|anything)\s+)?"
    r"(?:(?:that|which)\s+)?(?:(?:is|are|be|should\s+be|must\s+be)\s+)?"
    r"(?:(?:very|completely|totally|entirely|quite)\s+)*"
    r"(?:(?:different|distinct|differing|far(?:\s+away)?|away)\s+from|different\s+(?:to|than)"
    rf"|{DIFFERING}))"
    r"\s+(?:an?\s+|the\s+)?"
    rf"(?P<things>{_THINGS_IN_LIST}){AFTER_COLOR}{PHRASE_END}",
    re.IGNORECASE,
)
# "blue in" beside what is put out.
_PUT_ASIDE = compile_lazily(r"(?:^|,\s)(?:but\s+)?(?:not|no|without)\s", re.IGNORECASE)
_PUT_IN = compile_lazily(
    rf"(?:^|(?<=,\s))(?:and\s+|more\s+of\s+(?:the|that)\s+)?(?P<wanted>{SHADED_COLOR}|{'|'.join(PATTERNS)})\s+in{PHRASE_END}",
    re.IGNORECASE,
)
# "no blue jeans", "not a sleeveless dress" and "no blue or striped shirts": the text excludes some
# values of a kind of garment.
_NO_VALUE_KIND = compile_lazily(
    r"(?<![\w'-])(?:not|no|never|without|avoid|(?:anything|everything|all)\s+(?:but|except(?:\s+for)?)"
    r"|(?:apart|aside)\s+from|except(?:\s+for)?|save\s+for|(?:with\s+)?(?:the\s+)?exception\s+of)\s+(?:an?\s+|any\s+|the\s+)?"
    rf"(?P<values>{_VALUE_OF_KIND}(?:(?:(?:\s*,\s*{_VALUE_OF_KIND})*(?:\s*,)?\s*\b(?:or|nor))?\s+(?:an?\s+)?"
    rf"{_VALUE_OF_KIND})*)\s+(?P<kind>{KINDS}){PHRASE_END}",
    re.IGNORECASE,
)
# "I already have it in red", but not "can I have it in red".
_OWNED = compile_lazily(
    r"(?<![\w'-])(?:(?:i|we)(?:'ve)?(?:\s+(?:already|have|got|own|bought))+|(?:already\s+)?got)"
    rf"\s+(?:(?:it|this|that|these|them|one)\s+(?:already\s+)?in\s+(?P<color>{SHADED_COLOR})"
    rf"|(?:a|the)\s+(?P<one>{SHADED_COLOR})\s+ones?)(?:\s+already)?{PHRASE_END}",
    re.IGNORECASE,
)
# "I own too many black t-shirts", "we have plenty of red ones".
_OWNED_MANY = compile_lazily(
    r"(?<![\w'-])(?:i|we)(?:'ve|\s+have)?(?:\s+(?:already|just|have|got|own|bought))+\s+"
    r"(?:(?:far|way|much)\s+)?(?:too\s+many|so\s+many|many|several|enough|plenty\s+of|(?:a\s+)?lots?\s+of"
    r"|tons\s+of|loads\s+of|dozens\s+of|only|nothing\s+but)\s+"
    rf"(?P<color>{SHADED_COLOR})\s+(?:ones|things|clothes|(?P<kind>{KINDS}))(?:\s+already)?{PHRASE_END}",
    re.IGNORECASE,
)
_ASKING = compile_lazily(
    r"\b(?:can|could|may|might|shall|should|would|will|if|wish|want|when|until)\s+$", re.IGNORECASE
)


@unless_negated
def _rephrase_all_but(match: re.Match[str]) -> str | None:
    """Rephrase an exception: "any dress but red" becomes "dress but not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    read = _exclude_things(match["things"])
    if match["kind"] is None:
        return ", ".join(read)
    joint = " but " if read[0].startswith("not ") else ", "
    return f"{match['kind'].lower()}{joint}{' and '.join(read)}"


@unless_negated
def _rephrase_put_out(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion by "out" or "less": "red out", "less of the red" become "not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it,
    or if "out" belongs to a verb, as in "leave the white t-shirts and shirts out".
    """
    if match["out"] and _PUT_ELSEWHERE.search(match.string[: match.start()]):
        return None
    return _exclude_thing(match["less"] or match["out"] or match["lacking"])


@unless_negated
def _rephrase_unwanted(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion by a verb: "spare me white" becomes "not white".

    If the phrase names a kind of garment, as in "leave the white t-shirts out", the result depends
    on the rest of the text: "not white" if the rest names the same kind, "no white t-shirts" if it
    names another kind, and "t-shirts, not white" if it names none. The result is None, and the
    phrase stays, if a negation such as "not" stands directly before it.
    """
    if not match["kind"]:
        return ", ".join(_exclude_things(match["things"]))
    names = f"{match['values']} {match.groupdict().get('others') or ''}".lower()
    values = _EACH_VALUE_OF_KIND.findall(names)
    kind = match["kind"].lower()
    if (named := find_kind(text_around(match))) and not is_same_kind(named, kind):
        return f"no {' or '.join(values)} {kind}"
    return ", ".join((*([] if named else [kind]), *map(_exclude_thing, values)))


def _rephrase_refused_kind(match: re.Match[str]) -> str | None:
    """Rephrase a refusal: "I'm done with black trousers" becomes "trousers, not black".

    The result is None, and the phrase stays, in these cases: "not dark enough blue jeans"; if "but"
    and another wish follow; and if a negation such as "not" stands directly before the phrase.
    """
    is_amount = match["verb"].lower() == "enough" and not match["of"]
    if is_amount or _BUT_ANOTHER.match(match.string, match.end()):
        return None
    return _rephrase_unwanted(match)


@unless_negated
def _rephrase_different(match: re.Match[str]) -> str | None:
    """Rephrase "different from": "in a different color from white" becomes "not white".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return ", ".join(_exclude_things(match["things"]))


@unless_negated
def _rephrase_less_like(match: re.Match[str]) -> str | None:
    """Rephrase a preference: "rather a skirt than a dress" becomes "skirt, not a dress".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    if match["old"]:
        return _exclude_thing(match["old"])
    return f"{match['new']}, {_exclude_thing(match['former'])}".lower()


def _rephrase_put_in(match: re.Match[str]) -> str | None:
    """Rephrase "red in" as "in red", if another part of the text excludes something.

    For example, the text "blue out, red in" excludes blue. If nothing else is excluded, the result
    is None, and the phrase stays.
    """
    if not _PUT_ASIDE.search(text_around(match)):
        return None
    wanted = match["wanted"].lower()
    return f"in {wanted}" if ANY_COLOR.search(wanted) else f"with {wanted}"


def _exclude_thing(name: str) -> str:
    """Return the phrase that excludes a thing: "not red", "not a dress", "without long sleeves".

    Args:
        name: The name of a color, a pattern, a kind of garment or a detail.
    """
    name = name.lower()
    if re.fullmatch(KINDS, name):
        return f"no {name}" if is_plural(name) else f"not a {name}"
    if re.fullmatch(rf"{SHADED_COLOR}(?:s|es)?", name):
        return f"not {name}"
    return _exclude_detail(name)


def _exclude_things(names: str) -> list[str]:
    """Return the phrase that excludes each thing of a list; see `_exclude_thing`."""
    return [_exclude_thing(thing[0]) for thing in _EACH_THING.finditer(names)]


def _exclude_detail(name: str) -> str:
    """Return "without long sleeves" for a noun, and "not hooded" for an adjective."""
    return f"{'not' if name.endswith(ADJECTIVE_ENDINGS) else 'without'} {name}"


@unless_negated
def _rephrase_unwanted_detail(match: re.Match[str]) -> str | None:
    """Return "without high heels" for "high heels are out" or "lose the high heels".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before the
    phrase. It is also None for a color or a pattern, since a later rule replaces these phrases.
    """
    thing = match["thing"].lower()
    if re.fullmatch(BARE_VALUE, thing) and not re.fullmatch(OPPOSITE, thing):
        return None  # a rule for values follows
    return _exclude_detail(thing)


def _rephrase_owned(match: re.Match[str]) -> str | None:
    """Rephrase a mention of what the user owns: "I already have it in red" becomes "not red".

    The result is None, and the phrase stays, if it is a wish, as in "can I have it in red".
    """
    if _ASKING.search(match.string[: match.start()]):
        return None
    return f"not {match['color'] or match['one']}".lower()


def _rephrase_owned_many(match: re.Match[str]) -> str | None:
    """Return "not black" for "I own too many black t-shirts".

    If the rest of the text names no kind of garment, the result names it: "t-shirts, not black".
    The result is None, and the phrase stays, if it is a wish, as in "can I have so many red ones".
    """
    if _ASKING.search(match.string[: match.start()]):
        return None
    excluded = f"not {match['color']}".lower()
    is_needed = match["kind"] is not None and find_kind(text_around(match)) is None
    return f"{match['kind'].lower()}, {excluded}" if is_needed else excluded


@unless_negated
def _rephrase_less_pattern(match: re.Match[str]) -> str | None:
    """Rephrase "less" or "too" with a color or pattern: "too striped" becomes "not striped".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return f"not {next(value for value in match.groups() if value)}".lower()


@unless_negated
def _rephrase_value_of_kind(match: re.Match[str]) -> str | None:
    """Rephrase an excluded value of a garment: "no blue jeans" becomes "jeans, not blue".

    The result is None, and the phrase stays, if the text names another garment, too, or if a
    negation such as "not" stands directly before the phrase.
    """
    before, after = match.string[: match.start()], match.string[match.end() :]
    if find_kind(before) or find_kind(after):
        return None
    values = _EACH_VALUE_OF_KIND.findall(match["values"])
    return ", not ".join((match["kind"], *values)).lower()


REFUSAL_RULES: tuple[Rule, ...] = (
    (_LESS_LIKE, _rephrase_less_like),
    (_ALL_BUT, _rephrase_all_but),
    (_TAKEN_OUT, _rephrase_unwanted),
    (_LEFT_OUT, _rephrase_unwanted),
    (_SPARED, _rephrase_unwanted),
    (_MISSED, _rephrase_unwanted),
    (_REFUSED_KIND, _rephrase_refused_kind),
    (_DIFFERENT, _rephrase_different),
    (_PUT_OUT, _rephrase_put_out),
    (_PUT_IN, _rephrase_put_in),
    (_OWNED, _rephrase_owned),
    (_OWNED_MANY, _rephrase_owned_many),
    (_REJECTED_DETAIL, _rephrase_unwanted_detail),
    (_REMOVED_MOTIF, lambda match: "without the print"),
    (_REMOVED_DETAIL, _rephrase_unwanted_detail),
    (_NO_VALUE_KIND, _rephrase_value_of_kind),
    (_LESS_PATTERN, _rephrase_less_pattern),
    (_ABSENT_PART, lambda match: f"no {match['part']}".lower()),
)


_REPLACING = ("instead of", "rather than")  # "dots instead of stripes"


def _exclusion_of(negations: str, joint: str) -> re.Pattern[str]:
    """Return a regular expression that matches exclusions such as "not red" or "not red or blue".

    An exclusion has one value (a color or a pattern) or a list of values.

    Args:
        negations: Regular expression of the excluding phrases, such as "not" or "avoid".
        joint: Regular expression of the words that may join the last value of a list, such as
            "or|nor".
    """
    more = rf"(?:\s*,\s*{BETWEEN}{VALUE})*(?:\s*,?\s*\b(?:{joint})\s+|\s*/\s*){BETWEEN}{VALUE}"
    return compile_lazily(
        rf"(?<![\w'-]){PERSON}(?:(?:with|has|have|having)\s+)?(?P<negation>{negations})(?:(?<=-)|(?<=\bnon)|(?<=\bun)|\s+){BETWEEN}"
        rf"(?P<values>{VALUE}(?:{more})*){AFTER_COLOR}{PHRASE_END}",
        re.IGNORECASE,
    )


_EXCLUSIONS = (
    _exclusion_of(f"{EXCLUDING_VERBS}|{pattern_of(NEGATIONS_OF_ALL)}", "or|nor|and"),
    _exclusion_of(f"{EXCLUDING_MODALS}|{pattern_of(NEGATIONS_OF_FIRST)}|non-?|un-?", "or|nor"),
)
_ANY_VALUE = compile_lazily(BARE_VALUE, re.IGNORECASE)
# "nothing but red", "no color other than red", "no other color than red".
ONLY_VALUE = compile_lazily(
    rf"(?<![\w'-]){PERSON}(?:{ONLY.pattern})\s+{BETWEEN}(?P<value>{SHADED_COLOR}|plain){PHRASE_END}",
    re.IGNORECASE,
)
_OTHER_COLOR = compile_lazily(
    rf"(?<![\w'-])(?:in\s+|of\s+)?(?:any\s+|some\s+|an\s+)?other\s+colou?rs?{PHRASE_END}",
    re.IGNORECASE,
)
# "red is not ok", "stripes not wanted", "checks are out", "replace the red".
_REJECTED = compile_lazily(
    rf"(?<![\w'-])(?:the\s+|any\s+)?(?P<values>{VALUE_LIST})"
    rf"(?:\s+ones?)?(?:\s+{IS_REJECTED}|\s*,\s*no\s+(?:thanks|thank\s+you)){PHRASE_END}"
    rf"|(?<![\w'-])(?:replace|swap(?:\s+out)?|hide)\s+(?:the\s+|any\s+)?"
    rf"(?P<replaced>{VALUE_LIST})"
    rf"(?!\s+(?:with|by|for|to)\b){PHRASE_END}",
    re.IGNORECASE,
)
# "it doesn't have to be red", which excludes nothing.
_NOT_REQUIRED = compile_lazily(
    r"\b(?:(?:do(?:es)?n't|do(?:es)?\s+not)\s+(?:have|need)\s+to|needs?(?:n't|\s+not))"
    r"\s+(?:be|have)\s+(?:\w+\s+)?\w+$",
    re.IGNORECASE,
)
# Exclusions that models follow as well as the phrases of `EXCLUDED_THINGS` and that stay as typed,
# such as "without a belt". Only nouns count: "without striped" is rephrased.
_NOUNS = [
    name
    for names, read in EXCLUDED_THINGS.items()
    for name in names.split("|")
    if read.startswith("no ") and not name.endswith(("ed", "ey", "py"))
]
_FOLLOWED = compile_lazily(
    rf"(?:no|without|with no|has no)\s+(?:any\s+|an?\s+)?({'|'.join(_NOUNS)})", re.IGNORECASE
)


@unless_negated
def _rephrase_exclusion(match: re.Match[str]) -> str | None:
    """Rephrase an exclusion: "avoid red" becomes "not red".

    The result is None, and the phrase stays, in these cases:

    - a negation such as "not" stands directly before it;
    - it excludes nothing, as in "it doesn't have to be red";
    - the words before it name the replacement, as in "a hood instead of stripes";
    - models follow it well as typed, such as "without a belt".
    """
    before = match.string[: match.start()]
    if _NOT_REQUIRED.search(before + match[0]):
        return None
    if (
        match["negation"].lower() in _REPLACING
        and before.strip()
        and not before.rstrip().endswith(",")
    ):
        return None
    read = _exclude(match["values"], match.string)
    return None if "in plain" not in read and _FOLLOWED.fullmatch(match[0]) else read


@unless_negated
def _rephrase_rejected(match: re.Match[str]) -> str | None:
    """Rephrase a rejected color or pattern: "red is not ok" becomes "not red".

    The result is None, and the phrase stays, if a negation such as "not" stands directly before it.
    """
    return _exclude(next(values for values in match.groups() if values), match.string)


def rephrase_only(match: re.Match[str]) -> str:
    """Return the phrase "only red" for a phrase such as "nothing but red"."""
    return f"only {match['value']}".lower()


def _exclude(values: str, text: str) -> str:
    """Return phrases that exclude each value of a list: "not red, in plain" for "red or striped".

    A pattern is excluded by "in plain". If the text asks for another pattern, such as "with dots",
    the phrase names the pattern instead: "no stripes".

    Args:
        values: The list as typed, such as "red or striped".
        text: The whole text that contains the list.
    """
    is_plain = not _asks_for_pattern(text)
    read = [_rephrase_value(value[0].lower(), is_plain) for value in _ANY_VALUE.finditer(values)]
    return ", ".join(dict.fromkeys(read))


@lru_cache(maxsize=16)  # a text may have many exclusions
def _asks_for_pattern(text: str) -> bool:
    """Return whether a text names a pattern that it does not exclude."""
    for exclusions in (*_EXCLUSIONS, _REJECTED):
        text = exclusions.sub(" ", text)
    return ANY_PATTERN.search(text) is not None


def _rephrase_value(value: str, is_plain: bool) -> str:
    """Return the phrase that excludes a value, such as "not red" for "red".

    Args:
        value: The value, in lower case.
        is_plain: If True, a pattern such as "striped" is excluded by "in plain"; if False, by "no
            stripes".
    """
    if is_plain and ANY_PATTERN.fullmatch(value):
        return "in plain"
    for names, read in (OPPOSITES | EXCLUDED_THINGS).items():
        if re.fullmatch(names, value):
            return read
    color = re.match(SHADED_COLOR, value)  # without the ending of "reds"
    return f"not {color[0] if color else value}"


EXCLUSION_RULES: tuple[Rule, ...] = (
    (_OTHER_COLOR, lambda match: "in another color"),
    (_REJECTED, _rephrase_rejected),
    *((item, _rephrase_exclusion) for item in _EXCLUSIONS),
)
