"""Reader for a "wardrobe": photographs of clothes, each with category, attributes and a caption.

A wardrobe is a folder with the table `attributes.csv`, which has one row per photograph, and the
sub-folder `photos/`. The table's columns are `file`, `split`, `label` (the class assigned by the
photographer), `category`, `colour`, `shade`, `pattern`, `second` (the second color), `sleeve`,
`neckline`, `length`, `fastening` and `caption`. The column `kids` is optional; other columns are
ignored.

Some attribute values have a special meaning. `-` means that the attribute does not apply to the
garment, `?` that it is not visible in the photograph, and `other` that it has a value that no query
requests. `n/a`, `unknown` and long dashes are treated like `?`, and so is `none` in the columns
that a query can change (`colour`, `pattern`, `sleeve` and `length`).

The values of `pattern`, `sleeve`, `length` and `shade` are from fixed lists, in English. The values
of the other attributes are free; queries use a color's name as it is written.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dwc.datasets.annotation_files import read_table, spelling_key
from dwc.errors import DatasetError

WARDROBE_ATTRIBUTES = (
    "colour", "shade", "pattern", "second", "sleeve", "neckline", "length", "fastening",
)  # fmt: skip
CHANGEABLE = ("colour", "pattern", "sleeve", "length")  # attributes that a query may change
NOT_APPLICABLE = "-"
"""The value of an attribute that does not apply to a garment."""

_UNKNOWN = frozenset({NOT_APPLICABLE, "?", "other"})
# Other ways to write that a value is unknown, as `spelling_key` returns them.
_UNKNOWN_SPELLINGS = frozenset({"", "na", "nan", "none", "null", "unknown", "unclear"})
# The columns whose values are compared, and so must be spelled in the same way in all rows.
_COMPARED = ("split", "label", "category", *WARDROBE_ATTRIBUTES)
_COLUMNS = frozenset({"file", "split", "label", "category", "caption", *WARDROBE_ATTRIBUTES})
TABLE = "attributes.csv"
# If a color in a certain shade has common names, such as "navy", a text uses one of them with this
# probability.
_NAMED_COLOR_SHARE = 0.3

NAMED_COLORS = {
    ("red", "dark"): ("burgundy", "maroon"),
    ("pink", "dark"): ("hot pink",),
    ("orange", "light"): ("peach",),
    ("yellow", "dark"): ("mustard",),
    ("green", "light"): ("mint green",),
    ("green", "dark"): ("forest green", "dark green"),
    ("teal", "light"): ("turquoise",),
    ("blue", "light"): ("light blue", "sky blue"),
    ("blue", "dark"): ("navy", "dark blue"),
    ("purple", "light"): ("lilac", "lavender"),
    ("brown", "light"): ("tan",),
    ("beige", "light"): ("cream",),
    ("grey", "light"): ("light grey",),
    ("grey", "dark"): ("charcoal", "dark grey"),
}
"""Maps pairs of a color and a shade to their common names."""

_PATTERN_PHRASES = {
    "plain": ("plain", "without a pattern"),
    "striped": ("with stripes", "striped"),
    "pinstriped": ("with pinstripes", "pinstriped"),
    "checked": ("checked", "in plaid"),
    "dotted": ("with dots", "with polka dots"),
    "floral": ("with flowers", "with a floral print"),
    "zigzag": ("with zigzags", "in a zigzag pattern"),
    "leopard": ("in leopard print", "with a leopard print"),
    "colour_block": ("with colour blocks", "two-tone"),
    "graphic": ("with a print on the front", "with a graphic"),
}
_SLEEVE_PHRASES = {
    "sleeveless": ("without sleeves", "sleeveless"),
    "short": ("with short sleeves", "short sleeved"),
    "elbow": ("with half sleeves", "with elbow length sleeves"),
    "long": ("with long sleeves", "long sleeved"),
}
_LENGTH_PHRASES = {
    "cropped": ("cropped", "in a cropped length"),
    "short": ("short", "in a short length"),
    "medium": ("of medium length", "in a medium length"),
    "long": ("long", "in a long cut"),
}
_PHRASES = {"pattern": _PATTERN_PHRASES, "sleeve": _SLEEVE_PHRASES, "length": _LENGTH_PHRASES}
# The allowed values of attributes, besides those that mean that the value is unknown.
_ALLOWED = {**_PHRASES, "shade": ("dark", "light", "mid")}


# Words as people type them, and the values of a table's columns that they ask for.
_SEARCH_WORDS: dict[tuple[tuple[str, str], ...], str] = {
    (("neckline", "v"),): "v-neck, v neck, v-neckline",
    (("neckline", "round"),): "round neck, crew neck",
    (("neckline", "roll stand"),): "roll neck, polo neck, turtleneck, high neck",
    (("neckline", "stand"),): "stand-up collar, high collar",
    (("neckline", "hood"),): "hooded, hood",
    (("neckline", "collar lapel"),): "collar, collared",
    (("neckline", "lapel"),): "lapels",
    (("neckline", "square"),): "square neck",
    (("neckline", "off_shoulder"),): "off the shoulder",
    (("sleeve", "elbow"),): "elbow length sleeves, elbow sleeves",
    (("fastening", "buttons"),): "buttons, buttoned, button-up",
    (("fastening", "zip"),): "zip, zipped, zip-up",
    (("fastening", "laces"),): "laces, lace-up",
    (("fastening", "strap"),): "straps, strappy",
    (("pattern", "colour_block"),): "colour block",
    (("category", "dress"), ("length", "long")): "long dress, maxi dress",
    (("category", "dress"), ("length", "medium")): "midi dress, knee length dress",
    (("category", "dress"), ("length", "short")): "short dress, mini dress",
    (("category", "skirt"), ("length", "long")): "long skirt, maxi skirt",
    (("category", "skirt"), ("length", "medium")): "midi skirt, knee length skirt",
    (("category", "skirt"), ("length", "short")): "short skirt, mini skirt",
    (("category", "trousers"), ("length", "cropped")): "cropped trousers",
    (("category", "coat"), ("length", "long")): "long coat",
    (("colour", "blue"), ("shade", "dark")): "navy, dark blue",
    (("colour", "blue"), ("shade", "light")): "light blue",
    (("kids", "true"),): "children's, kids, for boys, for girls, toddler, baby",
    **{
        (("category", category),): words
        for category, words in {
            "t_shirt": "t-shirt, tee",
            "jumper": "jumper, sweater",
            "tank_top": "tank top",
            "tank_top waistcoat": "vest",
            "polo": "polo, polo shirt",
            "hat": "hat, cap",
            "flats": "flats, loafers",
            "trainers": "trainers, sneakers",
        }.items()
    },
    **{
        (("category", name),): name
        for name in (
            "dress", "shorts", "shirt", "trousers", "jacket", "blouse", "jeans", "skirt", "hoodie",
            "cardigan", "sandals", "waistcoat", "sweatshirt", "leggings", "blazer", "coat",
            "bodysuit", "boots", "heels",
        )
    },
}  # fmt: skip


VALUE_TEXTS: dict[str, dict[str, tuple[str, ...]]] = {
    "colour": {
        color: (f"in {color}",)
        for color in (
            "black", "white", "grey", "red", "pink", "orange", "yellow", "green", "teal", "blue",
            "purple", "brown", "beige",
        )
    },
    "pattern": {
        value: (_PATTERN_PHRASES[value][0],)
        for value in ("plain", "striped", "checked", "dotted", "floral", "graphic")
    },
    "sleeve": {
        "sleeveless": ("sleeveless",),
        "short": ("with short sleeves",),
        "elbow": ("with elbow length sleeves",),
        "long": ("with long sleeves",),
    },
    "kind": {
        "top": (
            "top", "t-shirt", "tank top", "polo shirt", "shirt", "blouse", "bodysuit", "jumper",
            "cardigan", "sweatshirt", "hoodie", "waistcoat", "blazer", "jacket", "coat",
        ),
        "dress": ("dress",),
        "skirt": ("skirt",),
        "trousers": ("trousers", "jeans", "leggings"),
        "shorts": ("shorts",),
        "shoes": ("shoes", "trainers", "boots", "sandals", "heels", "flats"),
        "hat": ("hat",),
        "bag": ("bag",),
    },
}  # fmt: skip
"""For each of four attributes, texts that name each of its frequent values.

The attribute "kind" groups the categories: "top" stands for all that is worn on the upper body.
"""

_CATEGORY_KINDS = {
    name.removesuffix(" shirt").replace("-", "_").replace(" ", "_"): kind
    for kind, names in VALUE_TEXTS["kind"].items()
    for name in names
}


class SearchWords(NamedTuple):
    """Search words as people type them, and which photographs fit the words.

    Attributes:
        words: The words, such as "v-neck".
        values: Name of a column of the table of photographs -> the values that fit the words. A
            photograph fits the words if its value in each of these columns is one of them.
    """

    words: str
    values: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Photograph:
    """One photograph, as a row of the table `attributes.csv` describes it.

    The fields are the table's columns; `attributes` maps the attribute names in
    `WARDROBE_ATTRIBUTES` to their values. `kids` is "true" for clothes of children, and "?" if the
    table lacks that column.
    """

    file: str
    split: str
    label: str
    category: str
    attributes: dict[str, str]
    caption: str
    kids: str = "?"

    def known(self, attribute: str) -> str | None:
        """Return an attribute's value; None for the placeholders `-`, `?` and `other`."""
        value = self.attributes[attribute]
        return None if value in _UNKNOWN else value


def read_value(photograph: Photograph, attribute: str) -> str | None:
    """Return a photograph's value of an attribute, in the spelling of the table.

    The attribute "kind" has no column in the table; it is derived from the category.

    Args:
        photograph: The photograph.
        attribute: A key of `Photograph.attributes`, or "kind".

    Returns:
        The value; `?`, for example, if it is unknown. None for "kind" if the category belongs to no
        kind.
    """
    if attribute == "kind":
        return _CATEGORY_KINDS.get(photograph.category)
    return photograph.attributes[attribute]


@dataclass(frozen=True)
class AttributeChange:
    """A query with a photograph and a text that changes one or two of its attributes.

    Attributes:
        reference: Index of the reference photograph.
        changes: Name of a changed attribute -> its new value.
        words: The modification text.
        hits: Indices of the correct results: photographs of the reference's category with the new
            values of the changed attributes. In the other attributes that a query can change
            (`CHANGEABLE`), they have the reference's values, unless these are unknown.
        image_share: The true image weight of the query, in [0, 1]: the fraction of the target's
            attributes that come from the reference image and not from the text.
    """

    reference: int
    changes: dict[str, str]
    words: str
    hits: tuple[int, ...]
    image_share: float


def read_wardrobe(folder: Path, split: str | None = None) -> list[Photograph]:
    """Read the table `attributes.csv` of a folder of photographs, and return a record per row.

    Args:
        folder: The folder.
        split: Name of the split to read; None for all splits.

    Raises:
        DatasetError: The table is missing, cannot be read or lacks columns; a row has a value that
            is not allowed, too few or too many cells, or an empty caption; a photograph has two
            rows; values of a column differ only in spelling ("red" and "Red"); or no row belongs to
            the split.
    """
    table = folder / TABLE
    if not table.is_file():
        raise DatasetError(
            f"{folder} has no {TABLE}; expected a wardrobe: that table beside the folder photos/. "
            "Give the folder that holds it: --data FOLDER"
        )
    rows = _read_rows(table)
    photographs = [
        Photograph(
            row["file"],
            row["split"],
            row["label"],
            row["category"],
            {name: row[name] for name in WARDROBE_ATTRIBUTES},
            row["caption"],
            row.get("kids", "?"),
        )
        for row in rows
        if split is None or row["split"] == split
    ]
    if not photographs:
        splits = ", ".join(sorted({row["split"] for row in rows}))
        raise DatasetError(f"{table} has no photograph of the split {split!r}; it has {splits}")
    return photographs


def _read_rows(table: Path) -> list[dict[str, str]]:
    """Return the rows of the table of photographs after checking them.

    Returns:
        For each row, a dict from column to cell. Cells such as `n/a`, which mean that a value is
        unknown, are replaced with `?`.
    """
    rows = []
    lines: dict[str, int] = {}
    spellings = _Spellings()
    for line, cells in read_table(table, _COLUMNS):
        position = f"{table}, line {line}"
        row = {name: _unify_unknown(name, value) for name, value in cells.items()}
        _check_row(row, position)
        if row["file"] in lines:
            raise DatasetError(
                f"{position}: {row['file']} is in line {lines[row['file']]} as well; expected each "
                "photograph once. Remove one of the rows"
            )
        lines[row["file"]] = line
        for name in _COMPARED:
            spellings.check(name, row[name], line, position)
        rows.append(row)
    return rows


def _unify_unknown(name: str, value: str) -> str:
    """Return `?` or `other` for a value that is another spelling of one of them.

    For example, `n/a` becomes `?`, and `Other` becomes `other`. All other values are returned
    unchanged.

    Args:
        name: The name of the value's column.
        value: The value.
    """
    if name != "category" and name not in WARDROBE_ATTRIBUTES:
        return value
    key = spelling_key(value)
    if key == "other":
        return "other"
    is_unknown = bool(value) and value not in _UNKNOWN and key in _UNKNOWN_SPELLINGS
    return "?" if is_unknown and (key != "none" or name in CHANGEABLE) else value


def is_known_value(value: str) -> bool:
    """Return whether a value describes a garment; False for values such as `-`, `?` and `other`."""
    key = spelling_key(value)
    return key not in _UNKNOWN_SPELLINGS - {"none"} and key not in _UNKNOWN


def list_phrases(attribute: str, value: str) -> tuple[str, ...]:
    """Return the phrases that modification texts use for a value, such as "without sleeves".

    Args:
        attribute: The name of an attribute, in any spelling, such as "Color".
        value: One of its values.

    Returns:
        The phrases. Empty if queries do not change the attribute, and for unknown values of all
        attributes except color.
    """
    name = spelling_key(attribute)
    if name == "colour":
        return (value, f"in {value}")
    return _PHRASES.get(name, {}).get(value, ())


def search_words() -> list[SearchWords]:
    """Return all search words, such as "v-neck", each with the attribute values that fit it."""
    words = [
        SearchWords(name, {column: frozenset(values.split()) for column, values in wanted})
        for wanted, names in _SEARCH_WORDS.items()
        for name in names.split(", ")
    ]
    for attribute, phrases in _PHRASES.items():
        for value in phrases if attribute != "length" else ():
            words += [SearchWords(name, {attribute: frozenset([value])}) for name in phrases[value]]
    return words


def fits_words(photograph: Photograph, wanted: SearchWords) -> bool:
    """Return whether a photograph fits search words, such as "v-neck".

    It fits if its value in each column of `wanted.values` is one of the values listed there.
    """
    columns = {"category": photograph.category, "kids": photograph.kids, **photograph.attributes}
    return all(columns[column] in values for column, values in wanted.values.items())


class _Spellings:
    """Checker of spelling: a value must be spelled in the same way in all rows of a table."""

    def __init__(self) -> None:
        colors = {*(color for color, _ in NAMED_COLORS), "black", "white"}
        expected = {"colour": colors, "second": colors}
        # Column and spelling key -> the expected spelling, and the line of its first use.
        self._seen: dict[tuple[str, str], tuple[str, int | None]] = {
            (name, spelling_key(value)): (value, None)
            for name, values in expected.items()
            for value in values
        }

    def check(self, name: str, value: str, line: int, position: str) -> None:
        """Raise `DatasetError` if a value is not spelled as expected, such as "Red" after "red".

        Most names of colors have a fixed spelling. The expected spelling of any other value is the
        spelling in the first row that contains the value.

        Args:
            name: The name of the column.
            value: The value.
            line: The number of the line that contains the value.
            position: The path of the table and the line, as text for the error message.
        """
        if value in _UNKNOWN:
            return
        first, first_line = self._seen.setdefault((name, spelling_key(value)), (value, line))
        if value != first:
            where = "" if first_line is None else f", as in line {first_line}"
            raise DatasetError(
                f"{position}: {name} is {value!r}; expected {first!r}{where}. Write it in the same "
                "way everywhere"
            )


def _check_row(row: dict[str, str], position: str) -> None:
    """Check the values of a row; raise `DatasetError` if one is missing or not allowed.

    Only the file name, the caption and the values from which the texts of queries are formed are
    checked.

    Args:
        row: The cells of the row by column.
        position: The path of the table and the row's line, as text for the error message.
    """
    for name in ("file", "caption", "shade", *CHANGEABLE):
        value = row[name]
        if name == "shade" and not value:  # queries then use no names such as "navy"
            continue
        allowed = (*_ALLOWED.get(name, ()), *sorted(_UNKNOWN))
        if name in _ALLOWED and value not in allowed:
            expected = f"one of {', '.join(allowed)}"
        elif name == "caption" and not any(map(str.isalnum, value)):
            expected = "a text that describes the photograph"
        elif not value:
            expected = "a value" + (", or ? if it is unknown" if name in CHANGEABLE else "")
        else:
            continue
        raise DatasetError(f"{position}: {name} is {value!r}; expected {expected}. Correct it")


def image_path(folder: Path, file: str) -> Path:
    """Return the path of a photograph's file.

    Args:
        folder: The folder with the table of photographs.
        file: The photograph's value in the column `file` of this table.
    """
    return folder / "photos" / file


def attribute_changes(photographs: Sequence[Photograph], seed: int) -> list[AttributeChange]:
    """Return a random query for each photograph that has a possible target.

    A possible target is a photograph of the same category that differs in one or two of the
    attributes that a query can change (`CHANGEABLE`); see `changes_between`. Photographs of an
    unknown category, such as `other`, are not used.

    Args:
        photographs: Photographs that serve as references and targets.
        seed: Seed of all random choices.
    """
    by_category = rows_by_category(photographs)
    for unknown in _UNKNOWN:
        by_category.pop(unknown, None)
    queries = []
    for row, photograph in enumerate(photographs):
        rng = random.Random(f"{seed}/{photograph.file}")
        neighbors = by_category.get(photograph.category, [])
        options = [
            (other, changes)
            for other in neighbors
            if other != row and (changes := changes_between(photograph, photographs[other]))
        ]
        if not options:
            continue
        target, changes = rng.choice(options)
        queries.append(
            AttributeChange(
                reference=row,
                changes=changes,
                words=phrase_changes(changes, photographs[target].attributes["shade"], rng),
                hits=fitting(photographs, row, changes, neighbors),
                image_share=image_share(photograph, changes),
            )
        )
    return queries


def describe_no_changes(photographs: Sequence[Photograph]) -> str:
    """Return the reason why `attribute_changes` finds no query, and what to do, as sentences."""
    names = f"{', '.join(CHANGEABLE[:-1])} and {CHANGEABLE[-1]}"
    if all(photograph.known(name) is None for photograph in photographs for name in CHANGEABLE):
        return f"{names} are unknown for every photograph. Fill in these columns"
    if all(photograph.category in _UNKNOWN for photograph in photographs):
        return "the category is unknown for every photograph. Fill in this column"
    return (
        f"no two photographs of a category have known values and differ in one or two of {names}. "
        "Add photographs, or fill in what is unknown"
    )


def rows_by_category(photographs: Sequence[Photograph]) -> dict[str, list[int]]:
    """Return, for each category, the indices of its photographs in ascending order."""
    by_category: dict[str, list[int]] = {}
    for row, photograph in enumerate(photographs):
        by_category.setdefault(photograph.category, []).append(row)
    return by_category


def changes_between(reference: Photograph, target: Photograph) -> dict[str, str]:
    """Return the attributes in which a target differs from a reference, if they are one or two.

    Only attributes that a query can change (`CHANGEABLE`) are compared, and only those whose values
    are known for the reference.

    Returns:
        Name of a differing attribute -> its value for the target. Empty if no or more than two
        attributes differ, or if the value of a compared attribute is unknown for the target.
    """
    changes = {}
    for name in CHANGEABLE:
        before, after = reference.known(name), target.known(name)
        if before is None:
            continue
        if after is None:
            return {}
        if after != before:
            changes[name] = after
    return changes if len(changes) <= 2 else {}


def fitting(
    photographs: Sequence[Photograph], reference: int, changes: dict[str, str], among: Sequence[int]
) -> tuple[int, ...]:
    """Return the indices of all photographs that are correct results of a query.

    A correct result has the new values of the changed attributes. In the other attributes that a
    query can change (`CHANGEABLE`), it has the reference's values, unless these are unknown.

    Args:
        photographs: All photographs.
        reference: Index of the reference photograph; it is never a result.
        changes: Name of a changed attribute -> its new value.
        among: Indices of the photographs to consider; all have the reference's category.
    """
    wanted = {
        name: changes.get(name, photographs[reference].known(name))
        for name in CHANGEABLE
        if name in changes or photographs[reference].known(name) is not None
    }
    return tuple(
        row
        for row in among
        if row != reference
        and all(photographs[row].attributes[name] == value for name, value in wanted.items())
    )


def image_share(reference: Photograph, changes: dict[str, str]) -> float:
    """Return the true image weight of a query, in [0, 1].

    The true image weight is the fraction of the target's attributes that come from the reference
    image and not from the text: 1 - changed / (1 + known). Here, `changed` is the number of
    changes. `known` is the number of attributes that a query can change (`CHANGEABLE`) and that are
    known for the reference. The 1 in the divisor stands for the category, which always
    comes from the image.

    Args:
        reference: The reference photograph.
        changes: Name of a changed attribute -> its new value.
    """
    known = sum(reference.known(name) is not None for name in CHANGEABLE)
    return 1 - len(changes) / (1 + known)


def phrase_changes(changes: dict[str, str], shade: str, rng: random.Random) -> str:
    """Return a modification text for changes, such as "in navy and with long sleeves".

    Args:
        changes: Name of a changed attribute -> its new value.
        shade: The target's shade, for color names that include the shade, such as "navy".
        rng: Source of random choices.
    """
    phrases = []
    for name, value in changes.items():
        if name == "colour":
            names = NAMED_COLORS.get((value, shade), ())
            is_named = bool(names) and rng.random() < _NAMED_COLOR_SHARE
            phrases.append(f"in {rng.choice(names) if is_named else value}")
        else:
            phrases.append(rng.choice(_PHRASES[name][value]))
    rng.shuffle(phrases)
    return " and ".join(phrases)
