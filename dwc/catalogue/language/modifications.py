"""Modifications: texts that describe how a target garment differs from a reference garment.

The value that the target may have in an attribute depends on what the text says about it:

- The text mentions the attribute: one of the values that the text *allows*. "In blue" allows one
  color, "longer" allows every greater length.
- The text excludes a value, as in "no stripes": any other value if the reference has the excluded
  one, and otherwise the value of the reference.
- The text does not mention the attribute: the value of the reference, unless the attribute is
  *free*. A free attribute may have any value.

What the text says about other attributes can make an attribute free:

- the shade, if the text changes the color without naming a shade: "in blue";
- the second color, if the text asks for a pattern and the reference is plain: "striped";
- the second color, if the text allows several patterns and "plain" is one of them;
- the second color, if it becomes the main color: "in white" for a blue shirt with white stripes;
- every attribute except color, shade, pattern and second color, if the category changes;
- the pattern and the second color, if the new category cannot have the reference's pattern.

Some words mention two attributes: "navy", "black" and "white" mention color and shade (black and
white have only one shade), and "plain" mentions pattern and second color. An attribute is *stated*
if the text alone determines it ("in blue") and *relative* if the reference matters too ("longer").
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from dwc.catalogue.language.exclusions import (
    Exclusion,
    Values,
    exclude_something,
    exclusion_captions,
    say_category_exclusion,
    say_exchange,
    say_exclusion,
)
from dwc.catalogue.language.statements import (
    Allowed,
    Statement,
    adjectives,
    change,
    noun_phrase,
    predicate,
    say_change,
    say_color,
    say_look_change,
    say_unchanged,
    say_value,
)
from dwc.catalogue.language.vocabulary import (
    PLURAL,
    Noun,
    generic_nouns,
    meant_by_denial,
    nouns_for,
)
from dwc.catalogue.schema import CATEGORIES, COMMON, UNSHADED, Garment, attributes_of

_TWO_CAPTIONS_SHARE = 0.7  # share of two captions among modifications of two or more statements

# Openings of a caption before a change that is not a sentence: "same but longer". {} is the noun.
_ALONE = ("same but", "the same {} but", "just like this but", "exactly the same only")
_OPENINGS = (
    "make it", "i want it", "i'd like it", "like this but", "similar but", "same style but",
    "looks similar but",
)  # fmt: skip
_OPENINGS_PLURAL = (
    "make them", "i want them", "i'd like them", "like these but", "similar but", "same style but",
    "look similar but",
)  # fmt: skip
# Openings that need an adjective after them: nobody writes "could it be with a belt".
_TO_BE = ("should be", "could it be", "needs to be")
_TO_BE_PLURAL = ("should be", "could they be", "need to be")


def phrase_modification(
    reference: Garment, statements: Sequence[Statement], rng: random.Random
) -> tuple[str, ...]:
    """Return one or two captions that together express all statements, with random wording."""
    order = list(statements)
    rng.shuffle(order)
    if len(order) > 1 and rng.random() < _TWO_CAPTIONS_SHARE:
        cut = rng.randrange(1, len(order))
        first, second = order[:cut], order[cut:]
        return tuple(_caption(reference, part, rng, alone=False) for part in (first, second))
    if len(order) == 1 and rng.random() < 0.15:  # as if two annotators made the same observation
        return tuple(_caption(reference, order, rng, alone=False) for _ in range(2))
    return (_caption(reference, order, rng, alone=True),)


def phrase_change_of_category(
    reference: Garment,
    target: Garment,
    noun: Noun,
    statements: Sequence[Statement],
    rng: random.Random,
) -> tuple[str, ...]:
    """Return one or two captions for a change of category.

    Examples: `as a skirt with a belt`, `a bag to match`.

    Args:
        reference: The garment to modify.
        target: The garment that the captions ask for, of another category.
        noun: The noun for the target.
        statements: Further statements that the captions express, besides the noun.
        rng: The random generator that chooses the words.
    """
    order = list(statements)
    rng.shuffle(order)
    plural = target.category in PLURAL
    spoken = {name for statement in statements for name in statement.allowed}
    second: tuple[str, ...] = ()
    if len(order) > 1 and rng.random() < 0.4:
        cut = rng.randrange(1, len(order))
        order, rest = order[:cut], order[cut:]
        second = (predicate(rng, rest, plural),)
    thing = noun_phrase(rng, noun.text, order, plural)
    frames = ["as {}", "{}", "{} instead", "make it {}", "is {}", "show me {} like this"]
    if not order and not spoken & set(COMMON):
        frames += [
            "{} in the same colours",
            "the same look as {}",
            "{} to match",
            "{} with this look",
        ]
    pattern_stays = not spoken & {"pattern", "second_colour"} and target["pattern"] != "plain"
    if pattern_stays and reference["pattern"] == target["pattern"]:
        frames += ["the same pattern on {}", "{} with the same print"]
    return (rng.choice(frames).format(thing), *second)


def _caption(
    reference: Garment, statements: Sequence[Statement], rng: random.Random, alone: bool
) -> str:
    """Return one caption that expresses the statements, with random wording.

    `alone` is True if the modification has no other caption. The caption may then also say that
    everything else stays the same: "same but longer".
    """
    plural = reference.category in PLURAL
    noun = rng.choice(generic_nouns(reference.category)).text
    draw = rng.random()
    if alone and draw < 0.3:
        opening = rng.choice(_ALONE).format(noun)
        return f"{opening} {change(rng, statements)}"
    if draw < 0.42:
        return change(rng, statements)
    if draw < 0.52:
        openings = list(_OPENINGS_PLURAL if plural else _OPENINGS)
        if adjectives(statements):
            openings += _TO_BE_PLURAL if plural else _TO_BE
        return f"{rng.choice(openings)} {change(rng, statements)}"
    if draw < 0.6:
        subject = f"the {noun}" if rng.random() < 0.6 else ("they" if plural else "it")
        return f"{subject} {predicate(rng, statements, plural)}"
    # Annotators often write "is" and "has" for a pair, too.
    return predicate(rng, statements, plural and rng.random() < 0.6)


_RESTATED_SHARE = 0.12  # share of modifications that also name an unchanged attribute
_OWN_SHARE = 0.4  # share of the attributes specific to a new category that the text mentions


@dataclass(frozen=True)
class Modification:
    """One or two captions, and the attribute values that they allow.

    Attributes:
        captions: One or two texts, which apply together.
        category: The new category, or None if the text names none.
        allowed: The allowed values of every attribute that the text mentions.
        stated: The attributes in `allowed` that the text alone determines.
        relative: The attributes in `allowed` that text and image determine together ("longer").
        free: The attributes that may have any value. An attribute neither in `allowed` nor in
            `free` keeps its value in the image.
        excluded: The values that the text excludes, by attribute, even if the image does not have
            them; excluded categories are under the key "category". Always empty if
            `draw_modification` was called with a `negation_share` of 0.
    """

    captions: tuple[str, ...]
    category: str | None
    allowed: Allowed
    stated: frozenset[str]
    relative: frozenset[str]
    free: frozenset[str]
    excluded: Values = field(default_factory=dict)

    def allowed_categories(self, reference: Garment) -> frozenset[str]:
        """Return the categories that the target garment may have."""
        if self.category is not None:
            return frozenset({self.category})
        excluded = self.excluded.get("category", frozenset())
        if reference.category in excluded:
            return frozenset(CATEGORIES) - excluded
        return frozenset({reference.category})

    def changes_category(self, reference: Garment) -> bool:
        """Return whether the text, not the reference image, decides the target's category."""
        return self.category is not None or reference.category in self.excluded.get("category", ())


def draw_modification(
    reference: Garment, target: Garment, rng: random.Random, negation_share: float = 0.0
) -> Modification:
    """Return random captions that ask for a change from `reference` to `target`.

    The captions mention every attribute in which the two garments differ, except those that the
    other changes leave open: "in blue" allows any shade.

    Args:
        reference: The garment to modify.
        target: A garment that the captions have to allow, different from the reference.
        rng: Random generator by which the words are chosen.
        negation_share: Probability (0 to 1) that the captions exclude something by a phrase of
            `exclusions`: "without any stripes", "anything but red", "not a dress".

    Returns:
        The captions, with the attribute values that they allow.

    Raises:
        ValueError: The two garments are equal.
    """
    if reference == target:
        raise ValueError(
            f"nothing to change: reference and target are the same garment, {reference}"
        )
    # With a share of 0, draw no random number, so that a seed gives the same texts as before
    # exclusions were added.
    excludes = negation_share > 0 and rng.random() < negation_share
    if reference.category != target.category:
        if excludes:
            return _exclude_category(reference, target, rng)
        return _modify_category(reference, target, rng)
    changed = [name for name, value in target.attributes.items() if value != reference[name]]
    if excludes:
        return _exclude_values(reference, target, changed, rng)
    statements = _say_changes(reference, target, changed, rng)
    statements = _complete(reference, target, statements, rng)
    if rng.random() < _RESTATED_SHARE:
        statements += say_unchanged(target, changed, rng)
    captions = phrase_modification(reference, statements, rng)
    return _read(reference, None, captions, statements)


def draw_wish(
    reference: Garment, target: Garment, attribute: str, rng: random.Random
) -> Modification:
    """Return one random caption that asks for a change of one attribute, or of the category.

    Unlike `draw_modification`, this function never adds a request that an attribute stays the same.
    For a new category, the caption only has a noun: "as a skirt". For any other attribute, the
    caption also asks for the target's color, shade, pattern and second color, if these differ from
    the reference and the change does not leave them open ("in blue" allows any shade).

    Args:
        reference: The garment to modify.
        target: A garment that the caption has to allow, different from the reference.
        attribute: The attribute that the text changes, or "category".
        rng: Random generator by which the words are chosen.

    Returns:
        The caption, with the attribute values that it allows.
    """
    if attribute == "category":
        noun = rng.choice(nouns_for(target))
        captions = phrase_change_of_category(reference, target, noun, [], rng)
        return _read(reference, target.category, captions, [_as_statement(noun)])
    statements = _say_changes(reference, target, [attribute], rng)
    statements = _complete(reference, target, statements, rng)
    return _read(reference, None, (_caption(reference, statements, rng, alone=True),), statements)


def _say_changes(
    reference: Garment, target: Garment, changed: Sequence[str], rng: random.Random
) -> list[Statement]:
    """Return random phrases that ask for the target's values of the changed attributes."""
    statements = say_look_change(reference, target, changed, rng)
    own = [name for name in changed if name not in COMMON]
    return statements + [say_change(reference, target, name, rng) for name in own]


_SECOND_EXCLUSION_SHARE = 0.25  # share of modifications with exclusions that have two
_EXCHANGE_SHARE = 0.2  # share of exclusions that also name the new value: "dots, not stripes"
# Share of the modifications with exclusions that also exclude a value that neither garment has.
_NEEDLESS_SHARE = 0.2


def _exclude_values(
    reference: Garment, target: Garment, changed: Sequence[str], rng: random.Random
) -> Modification:
    """Return a random modification with exclusions: `longer, lose the stripes`.

    One or two of the changed attributes are expressed by excluding their value in the reference.
    If this is impossible for all of them, the text excludes a value that neither garment has. A
    fifth of the other texts also exclude such a value.
    """
    possible = [name for name in changed if _can_be_excluded(reference, target, name, changed)]
    wanted = 1 + (rng.random() < _SECOND_EXCLUSION_SHARE)
    chosen = rng.sample(possible, min(wanted, len(possible)))
    exchanged: list[Statement] = []
    exclusions = [_exclude_value(reference, target, name, exchanged, rng) for name in chosen]
    settled = set(chosen) | ({"shade"} if "colour" in chosen else set())
    settled |= {"second_colour"} if "pattern" in chosen else set()
    if not chosen or rng.random() < _NEEDLESS_SHARE:
        both = frozenset(changed) | settled | {"colour", "second_colour"}
        exclusions.append(exclude_something(rng, target, both, with_category=False))
    rest = [name for name in changed if name not in settled]
    statements = _say_changes(reference, target, rest, rng)
    silent = [*exchanged, *_as_statements(reference, exclusions)]
    said = _complete(reference, target, [*silent, *statements], rng)[len(silent) :]
    captions = phrase_modification(reference, said, rng) if said else ()
    captions = exclusion_captions(rng, captions, [exclusion.text for exclusion in exclusions])
    return _read(reference, None, captions, [*silent, *said], exclusions)


def _can_be_excluded(
    reference: Garment, target: Garment, name: str, changed: Sequence[str]
) -> bool:
    """Return whether a changed attribute can be expressed by excluding its value in the reference.

    For example, the color of a red garment cannot be excluded ("no red") if the target has a red
    pattern.
    """
    before = reference[name]
    if name == "colour":
        return target["second_colour"] != before
    if name == "shade":
        return "colour" not in changed and reference["colour"] not in UNSHADED
    if name == "second_colour":
        return "pattern" not in changed
    return target[name] in meant_by_denial(reference.category, name, before)


def _exclude_value(
    reference: Garment,
    target: Garment,
    name: str,
    exchanged: list[Statement],
    rng: random.Random,
) -> Exclusion:
    """Return a random clause that excludes the reference's value of an attribute.

    If the clause also names the target's value ("dots instead of stripes"), the statement of the
    target's value is appended to `exchanged`.
    """
    category, before, after = reference.category, reference[name], target[name]
    if name == "second_colour":
        if target["colour"] != before and rng.random() < 0.5:
            return say_exclusion(rng, category, "colour", before)
        return say_exclusion(rng, category, name, before)
    if rng.random() >= _EXCHANGE_SHARE:
        return say_exclusion(rng, category, name, before)
    new = say_color(rng, after, None) if name == "colour" else say_value(rng, category, name, after)
    if new.form == "no":
        return say_exclusion(rng, category, name, before)
    exchanged.append(new)
    return say_exchange(rng, category, name, new.text, before, new.form == "has")


def _exclude_category(reference: Garment, target: Garment, rng: random.Random) -> Modification:
    """Return a random modification that excludes the category of the reference.

    Half of the texts also name the new category ("a skirt instead of the dress"), the other half do
    not ("anything but a dress, in red").
    """
    exclusion = say_category_exclusion(rng, reference.category)
    while target.category in exclusion.excluded["category"]:
        exclusion = say_category_exclusion(rng, reference.category)
    if rng.random() < 0.5:
        named = _modify_category(reference, target, rng)
        captions = exclusion_captions(rng, named.captions, [exclusion.text])
        return replace(named, captions=captions, excluded=exclusion.excluded)
    changed = [name for name in COMMON if target[name] != reference[name]]
    statements = say_look_change(reference, target, changed, rng)
    statements = _complete(reference, target, statements, rng)
    captions = (change(rng, statements),) if statements else ()
    captions = exclusion_captions(rng, captions, [exclusion.text])
    return _read(reference, None, captions, statements, [exclusion])


def _as_statements(reference: Garment, exclusions: Iterable[Exclusion]) -> list[Statement]:
    """Return what exclusions change in a reference garment, as statements without words.

    There is one statement for each attribute whose value in the reference is excluded, with the
    values that remain allowed. For example, "no stripes" gives a statement for a striped dress, and
    none for a plain one. The phrases of the statements are empty, since the captions already
    contain the words of the exclusions.
    """
    return [
        Statement("no", "", {name: values})
        for exclusion in exclusions
        for name, values in exclusion.allowed.items()
        if name != "category" and reference[name] not in values
    ]


def _modify_category(reference: Garment, target: Garment, rng: random.Random) -> Modification:
    """Return a random modification that names another category: `as a skirt`, `a bag to match`."""
    changed = [name for name in COMMON if target[name] != reference[name]]
    noun = rng.choice(nouns_for(target))
    statements = say_look_change(reference, target, changed, rng)
    said = {name for name, values in noun.says.items() if len(values) == 1}
    for name in target.attributes:
        if name not in COMMON and name not in said and rng.random() < _OWN_SHARE:
            statements += say_unchanged(target, [n for n in target.attributes if n != name], rng)
    statements = _complete(reference, target, statements, rng)
    captions = phrase_change_of_category(reference, target, noun, statements, rng)
    return _read(reference, target.category, captions, [*statements, _as_statement(noun)])


def _as_statement(noun: Noun) -> Statement:
    return Statement("is", noun.text, noun.says)


def _complete(
    reference: Garment, target: Garment, statements: list[Statement], rng: random.Random
) -> list[Statement]:
    """Return the statements, and further ones about color and pattern if necessary.

    A statement is added for each difference in color, shade, pattern or second color that the given
    statements neither mention nor leave open. For example, "striped" leaves the second color open
    if the reference is plain: any second color is then allowed.
    """
    for name in COMMON:
        allowed, free = settle(reference, target.category, (s.allowed for s in statements))
        if target[name] != reference[name] and name not in allowed and name not in free:
            statements = [
                *statements,
                *say_look_change(reference, target, [name], rng, plainly=True),
            ]
    return statements


def settle(
    reference: Garment, category: str, statements: Iterable[Allowed]
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Return the values that several statements together allow, and the free attributes.

    Free attributes may have any value: for example, "in blue" leaves the shade free. The docstring
    of this module lists all conditions.

    Args:
        reference: The garment to modify.
        category: The category of the target garment.
        statements: The allowed values of each statement.

    Returns:
        A dict from each mentioned attribute to its allowed values, and the free attributes.
    """
    allowed: dict[str, frozenset[str]] = {}
    for statement in statements:
        for name, values in statement.items():
            allowed[name] = allowed[name] & values if name in allowed else values
    free: set[str] = set()
    applicable = attributes_of(category)
    if category != reference.category:
        free |= set(applicable) - set(COMMON)
        if reference["pattern"] not in applicable["pattern"]:
            free |= {"pattern", "second_colour"}
    if "colour" in allowed:
        if allowed["colour"] <= UNSHADED:
            allowed["shade"] = frozenset({"mid"})
        free.add("shade")
        if allowed["colour"] == {reference["second_colour"]}:
            free.add("second_colour")
    if "pattern" in allowed:
        if allowed["pattern"] == {"plain"}:
            allowed["second_colour"] = frozenset({"none"})
        elif reference["pattern"] == "plain" or "plain" in allowed["pattern"]:
            free.add("second_colour")
    return allowed, frozenset(free - set(allowed))


def _read(
    reference: Garment,
    category: str | None,
    captions: tuple[str, ...],
    statements: Sequence[Statement],
    exclusions: Sequence[Exclusion] = (),
) -> Modification:
    """Return the `Modification` that consists of given captions and their meaning.

    Args:
        reference: The garment to modify.
        category: The category that the captions name, or None.
        captions: The captions.
        statements: The statements that the captions express.
        exclusions: The exclusions that the captions express.
    """
    allowed, free = settle(
        reference, category or reference.category, (s.allowed for s in statements)
    )
    relative = frozenset(name for statement in statements for name in statement.relative)
    stated = frozenset(allowed) - relative
    excluded: dict[str, frozenset[str]] = {}
    for exclusion in exclusions:
        for name, values in exclusion.excluded.items():
            excluded[name] = excluded.get(name, frozenset()) | values
    return Modification(captions, category, allowed, stated, relative, free, excluded)


def _names(reference: Garment, modification: Modification) -> tuple[str, ...]:
    """Return the names of the attributes that every allowed target has.

    These are the attributes of the target's category. If the text only excludes the reference's
    category ("not a dress"), the target's category is open; then they are the attributes that all
    categories share (`COMMON`).
    """
    if modification.category is None and modification.changes_category(reference):
        return COMMON
    return tuple(attributes_of(modification.category or reference.category))


def constraints(reference: Garment, modification: Modification) -> dict[str, frozenset[str]]:
    """Return the values that each attribute of the target garment may have.

    Returns:
        A dict from attributes to allowed values. The values come from the text if it mentions the
        attribute, otherwise from the reference image. Attributes that may have any value are left
        out.
    """
    return {
        name: modification.allowed[name]
        if name in modification.allowed
        else frozenset({reference[name]})
        for name in _names(reference, modification)
        if name not in modification.free
    }


def picture_only(reference: Garment, modification: Modification) -> frozenset[str]:
    """Return the attributes that the reference image alone determines.

    "category" is one of them unless the text changes the category.
    """
    stays = (
        frozenset(_names(reference, modification))
        - modification.free
        - modification.stated
        - modification.relative
    )
    return stays if modification.changes_category(reference) else stays | {"category"}


def fits(reference: Garment, modification: Modification, candidate: Garment) -> bool:
    """Return whether a candidate is a valid target for a reference and its modification."""
    if candidate.category not in modification.allowed_categories(reference):
        return False
    return all(
        candidate[name] in values for name, values in constraints(reference, modification).items()
    )


def picture_share(reference: Garment, modification: Modification) -> float:
    """Return the true image weight of a query, 0 to 1.

    The weight is the fraction of the target's attributes that come from the reference image and not
    from the text:

        (picture_only + relative / 2) / (picture_only + relative + stated)

    `picture_only` is the number of attributes that the image alone determines, `relative` the
    number that both determine ("longer"), `stated` the number that the text alone determines.
    Attributes that may have any value are not counted. The category counts as an attribute: the
    text determines it if the text changes it, else the image.

    An exclusion such as "no stripes" counts only if the image shows stripes; then the pattern is
    one of the attributes that the text determines.
    """
    picture = len(picture_only(reference, modification))
    stated = len(modification.stated) + modification.changes_category(reference)
    relative = len(modification.relative)
    return (picture + relative / 2) / (picture + relative + stated)
