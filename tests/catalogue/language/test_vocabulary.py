import random
import re
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwc.catalogue.language import vocabulary
from dwc.catalogue.language.description import describe, describe_fully
from dwc.catalogue.language.vocabulary import HYPERNYMS, NOUNS, generic_nouns, shaded_names
from dwc.catalogue.schema import (
    CATEGORIES,
    COLORS,
    SHADES,
    UNSHADED,
    Garment,
    attributes_of,
    sample_garment,
)
from dwc.catalogue.splits import gallery, training_triplets

seeds = st.integers(min_value=0, max_value=2**32)
EVERYDAY = {
    "t-shirt", "tee", "tank", "longsleeve", "pants", "trousers", "jeans", "shoes", "footwear",
    "shoe", "shorts", "dress", "skirt", "blouse", "pullover", "cardigan", "sweatshirt", "blazer",
    "top", "something", "coat", "boots", "sneakers", "sandals", "heels", "bag", "hat", "crimson",
    "navy", "cream", "turquoise", "stripes", "plaid", "floral", "sleeveless", "v-neck", "belt",
    "baggy", "tight", "mini", "maxi",
}  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """A page of what the language says: descriptions and modifications over training garments."""
    items = gallery("train", 1200)
    rng = random.Random(0)
    drawn = [describe(item.garment, rng) for item in items for _ in range(4)]
    for _, _, modification in training_triplets(items, seed=0, count=4000):
        drawn += modification.captions
    return drawn


@pytest.mark.slow
def test_the_vocabulary_is_large(texts: list[str]) -> None:
    words = {word for text in texts for word in re.findall(r"[a-z'-]+", text)}
    assert len(words) >= 400
    assert not EVERYDAY - words


def test_texts_are_tidy(texts: list[str]) -> None:
    for text in texts:
        assert re.fullmatch(r"[a-z0-9',\- ]+", text), text
        assert "  " not in text
        assert text == text.strip()
        assert not re.search(r"\b(an? (an?|the)|and and|with with|with and|is has)(?= |$)", text)
        assert not re.search(r"\ba [aeio]|\ban [^aeiou]", text.replace("a one", "")), text
        assert len(text.split()) <= 45  # CLIP reads 77 tokens, and a caption may have a companion


def test_long_sleeved_t_shirts_have_their_everyday_names() -> None:
    names = {noun.text for noun in NOUNS["t_shirt"] if noun.says.get("sleeve") == {"long"}}
    assert {"longsleeve", "long sleeve", "long sleeved top", "longsleeve shirt"} <= names


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_value_has_words_and_every_category_a_bare_name(category: str) -> None:
    assert generic_nouns(category)
    for name, values in attributes_of(category).items():
        if name in ("colour", "second_colour"):
            continue
        for value in values:
            words = vocabulary.words_for(category, name, value)
            assert words.being or words.having or words.lacking


@pytest.mark.parametrize("category", CATEGORIES)
def test_words_mean_one_thing_in_a_category(category: str) -> None:
    meanings = defaultdict(set)
    for name, values in attributes_of(category).items():
        if name not in ("colour", "second_colour"):
            for value in values:
                words = vocabulary.words_for(category, name, value)
                for text in words.being + words.having:
                    meanings[text].add((name, value))
                for text in words.lacking:
                    meanings[f"no {text}"].add((name, value))
    assert {text: found for text, found in meanings.items() if len(found) > 1} == {}


@pytest.mark.parametrize("category", CATEGORIES)
def test_names_speak_of_values_that_there_are(category: str) -> None:
    for noun in NOUNS[category]:
        for name, values in noun.says.items():
            assert values <= set(attributes_of(category)[name])
    for members in HYPERNYMS.values():
        assert members <= set(CATEGORIES)


def test_a_shaded_color_name_means_one_color_and_shade() -> None:
    meanings = defaultdict(set)
    for color in COLORS:
        for shade in ("mid",) if color in UNSHADED else SHADES:
            for name in shaded_names(color, shade):
                meanings[name].add((color, shade))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
    assert meanings["navy"] == {("blue", "dark")}


@pytest.mark.slow
@given(seeds)
@settings(max_examples=60, deadline=None)
def test_a_full_description_tells_any_change_of_one_attribute(seed: int) -> None:
    rng = random.Random(seed)
    garment = sample_garment(rng)
    texts = {describe_fully(garment, random.Random(s)) for s in range(30)}
    for name, values in attributes_of(garment.category).items():
        value = rng.choice(values)
        try:
            other = garment.with_values(**{name: value})
        except ValueError:
            continue
        if other != garment:
            assert texts.isdisjoint(describe_fully(other, random.Random(s)) for s in range(30))


def test_detail_runs_from_a_word_to_everything() -> None:
    garment = sample_garment(random.Random(4), "coat")
    lengths = [
        sum(len(describe(garment, random.Random(s), detail).split()) for s in range(200)) / 200
        for detail in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < 3
    assert lengths[-1] > 10
    assert describe(garment, random.Random(1), 1.0) == describe_fully(garment, random.Random(1))


def test_half_of_the_descriptions_are_partial() -> None:
    rng = random.Random(0)
    garment = Garment.of(
        "hat", colour="red", shade="dark", pattern="dotted", second_colour="white",
        brim="wide", trim="band",
    )  # fmt: skip
    lengths = [len(describe(garment, rng).split()) for _ in range(600)]
    assert 0.03 < sum(length <= 2 for length in lengths) / 600 < 0.4
    assert 0.2 < sum(length >= 9 for length in lengths) / 600 < 0.6


def test_descriptions_are_the_same_for_the_same_random_numbers() -> None:
    garment = sample_garment(random.Random(4))
    assert describe(garment, random.Random(9)) == describe(garment, random.Random(9))
    assert len({describe(garment, random.Random(s)) for s in range(100)}) > 80
