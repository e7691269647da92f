from dwc.catalogue.language.parser import parse_modification
from dwc.catalogue.schema import Garment
from dwc.catalogue.splits import DEFAULT_SIZE, FAMILIES, catalogue_items
from dwc.ui.gallery_images import describe_garment
from dwc.ui.panels.examples import CATALOGUE_WISHES, choose_from_catalogue


def test_the_catalogue_has_a_picture_for_every_wish():
    items = catalogue_items(FAMILIES, DEFAULT_SIZE)
    garments = {item.id: item.garment for item in items}
    chosen = choose_from_catalogue(garments)
    assert [example.words for example in chosen[:-1]] == [wish.words for wish in CATALOGUE_WISHES]
    for example, wish in zip(chosen[:-1], CATALOGUE_WISHES, strict=True):
        assert garments[example.reference_id].category == wish.category
    assert chosen[-1].reference_id is None
    for example in chosen:  # the gallery can grant every one
        demand = parse_modification(example.words, garments.get(example.reference_id or ""))
        assert demand is not None
        assert any(
            demand.fits(garment) for id, garment in garments.items() if id != example.reference_id
        )


def test_a_small_gallery_has_the_examples_that_suit_it():
    assert len(choose_from_catalogue({})) == 1


def test_a_garment_in_words():
    dress = Garment.of(
        "dress",
        colour="blue",
        shade="dark",
        pattern="striped",
        second_colour="white",
        sleeve="long",
        neckline="v",
        length="medium",
        hem="straight",
        waist="plain",
    )
    assert describe_garment(dress) == (
        "dark blue striped dress with white, long sleeve, v neckline, medium length, straight hem"
    )
    shirt = Garment.of(
        "t_shirt",
        colour="red",
        shade="mid",
        pattern="plain",
        second_colour="none",
        sleeve="short",
        neckline="round",
        length="medium",
        fit="regular",
    )
    assert describe_garment(shirt) == "red T-shirt, short sleeve, round neckline, medium length"
