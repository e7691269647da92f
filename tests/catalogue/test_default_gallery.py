"""The default gallery: garments whose counterparts in other values are in it, too."""

import pytest

from dwc.catalogue.schema import CATEGORIES, COLORS, Garment
from dwc.catalogue.splits import DEFAULT_SIZE, FAMILIES, CatalogueItem, catalogue_items, gallery


@pytest.fixture(scope="module")
def items() -> list[CatalogueItem]:
    return catalogue_items(FAMILIES, DEFAULT_SIZE)


def test_its_garments_are_distinct_and_consistent(items: list[CatalogueItem]) -> None:
    assert DEFAULT_SIZE <= 2000
    assert len({item.garment for item in items}) == DEFAULT_SIZE
    assert len({item.picture_seed for item in items}) == DEFAULT_SIZE
    assert len({item.id for item in items}) == DEFAULT_SIZE
    for item in items:  # raises where a garment contradicts itself
        assert Garment.of(item.garment.category, **item.garment.attributes) == item.garment


def test_a_smaller_gallery_is_the_beginning_and_no_larger_one_exists(
    items: list[CatalogueItem],
) -> None:
    assert catalogue_items(FAMILIES, 30) == items[:30]
    assert catalogue_items(FAMILIES, 0) == []
    for size in (-1, DEFAULT_SIZE + 1):
        with pytest.raises(ValueError, match="default gallery has 0 to"):
            catalogue_items(FAMILIES, size)


def test_its_first_page_is_varied(items: list[CatalogueItem]) -> None:
    page = [item.garment for item in items[:24]]
    assert len({garment.category for garment in page}) >= 7
    assert len({garment["colour"] for garment in page}) >= 8


@pytest.mark.slow
def test_a_garment_exists_in_every_color(items: list[CatalogueItem]) -> None:
    garments = {item.garment for item in items}
    assert {garment.category for garment in garments} < set(CATEGORIES)
    for garment in garments:
        for color in COLORS:
            if color == "white" and garment["pattern"] != "plain":
                continue  # the patterns are white
            shades = ("light", "dark")
            assert {garment.with_values(colour=color, shade=shade) for shade in shades} <= garments


def test_the_gallery_of_a_split_is_not_changed() -> None:
    assert catalogue_items("test", 50) == gallery("test", 50)
