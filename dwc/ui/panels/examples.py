"""Questions that work with one click, chosen from the gallery that is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dwc.catalogue.schema import Garment
from dwc.ui.format import escape, on_load
from dwc.ui.gallery_images import GalleryImages, StoreImages, url_of

ON_LOAD = on_load("dwcPanels.examples", "ask")

# Wishes that make sense for most pictures of things people wear, own or look at.
GENERIC_WORDS = ("in red", "darker", "with stripes", "without any pattern")


@dataclass(frozen=True)
class Example:
    """A question: a picture of the gallery, words, or both."""

    reference_id: str | None
    words: str


@dataclass(frozen=True)
class Wish:
    """Words, and the garments they can be wished of: what those are, and what they are not."""

    words: str
    category: str
    values: Mapping[str, str] = field(default_factory=dict)
    other_than: Mapping[str, str] = field(default_factory=dict)

    def suits(self, garment: Garment) -> bool:
        """Whether the words ask for something that this garment has not."""
        return (
            garment.category == self.category
            and all(garment.get(name) == value for name, value in self.values.items())
            and all(garment.get(name) != value for name, value in self.other_than.items())
        )


# The first opens the page: what it asks for takes both the words (sleeves, shade) and the picture
# (which garment, which colour).
CATALOGUE_WISHES = (
    Wish("darker, with long sleeves", "t_shirt", {"sleeve": "short", "shade": "light"}),
    Wish(
        "blue, with white stripes",
        "dress",
        {"pattern": "plain", "sleeve": "long"},
        {"colour": "blue"},
    ),
    Wish("shorter, and in red", "boots", {"length": "long", "pattern": "plain"}, {"colour": "red"}),
    Wish("no pattern", "bag", {"pattern": "dotted"}),
    Wish("chunkier, with laces", "trainers", {"sole": "thin", "fastening": "none"}),
)
CATALOGUE_WORDS_ONLY = "a yellow floral skirt"


def choose_examples(pictures: StoreImages) -> list[Example]:
    """Examples that make sense for this gallery."""
    if pictures.garments:
        return choose_from_catalogue(pictures.garments)
    return choose_generic(pictures)


def choose_from_catalogue(garments: Mapping[str, Garment]) -> list[Example]:
    """Examples from drawn garments: for each wish the first that it suits, and words alone."""
    chosen = []
    for wish in CATALOGUE_WISHES:
        suited = (picture_id for picture_id, garment in garments.items() if wish.suits(garment))
        if (reference_id := next(suited, None)) is not None:
            chosen.append(Example(reference_id, wish.words))
    return [*chosen, Example(None, CATALOGUE_WORDS_ONLY)]


def choose_generic(pictures: GalleryImages) -> list[Example]:
    """Examples for a gallery of which nothing is known: pictures spread over it, common wishes."""
    total = len(pictures.ids)
    places = dict.fromkeys(
        (2 * turn + 1) * total // (2 * len(GENERIC_WORDS)) for turn in range(len(GENERIC_WORDS))
    )
    return [
        Example(pictures.ids[place], words)
        for place, words in zip(places, GENERIC_WORDS, strict=False)
        if place < total
    ]


def example_asked(data: Mapping[str, Any], examples: Sequence[Example]) -> Example | None:
    """The example that a browser asked for, or None where there is no such one."""
    place = data.get("example")
    if not isinstance(place, int) or not 0 <= place < len(examples):
        return None
    return examples[place]


def render_examples(examples: Sequence[Example], pictures: GalleryImages) -> str:
    """One button an example, with its picture and its words."""
    if not examples:
        return ""
    buttons = "".join(
        f"<li>{_button(place, example, pictures)}</li>" for place, example in enumerate(examples)
    )
    return f'<h3>Try</h3><ul class="tries">{buttons}</ul>'


def _button(place: int, example: Example, pictures: GalleryImages) -> str:
    picture = ""
    if example.reference_id is not None:
        alt = f"Like {pictures.describe(example.reference_id)}, but:"
        url = url_of(pictures.thumbnail(example.reference_id))
        picture = f'<img src="{escape(url)}" alt="{escape(alt)}" width="40" height="40">'
    return (
        f'<button type="button" data-example="{place}">{picture}'
        f"<span>{escape(example.words) or 'more like this'}</span></button>"
    )
