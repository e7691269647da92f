"""Searches that are one click away, chosen from the gallery that is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dwc.catalogue.schema import Garment
from dwc.ui.format import escape, on_load
from dwc.ui.gallery_images import GalleryImages, StoreImages, url_of

ON_LOAD = on_load("dwcPanels.examples", "ask")

GENERIC_WORDS = ("in red", "darker", "with stripes", "without any pattern")
"""Modifications that make sense for most pictures of things people wear or own."""


@dataclass(frozen=True)
class Example:
    """A search: an image of the gallery, words, or both."""

    reference_id: str | None
    words: str


@dataclass(frozen=True)
class Wish:
    """Words, and the garments that they make sense for.

    Attributes:
        words: The modification text.
        category: The garment's category.
        values: The attribute values that the garment has to have.
        other_than: The attribute values that it must not have.
    """

    words: str
    category: str
    values: Mapping[str, str] = field(default_factory=dict)
    other_than: Mapping[str, str] = field(default_factory=dict)

    def suits(self, garment: Garment) -> bool:
        """Whether the words ask for something that this garment does not have."""
        return (
            garment.category == self.category
            and all(garment.get(name) == value for name, value in self.values.items())
            and all(garment.get(name) != value for name, value in self.other_than.items())
        )


# The page opens with the first: its answer takes both the words (sleeves, shade) and the picture
# (which garment, which color).
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


def choose_examples(images: StoreImages) -> list[Example]:
    """Examples that make sense for this gallery."""
    if images.garments:
        return choose_from_catalogue(images.garments)
    return choose_generic(images)


def choose_from_catalogue(garments: Mapping[str, Garment]) -> list[Example]:
    """Examples from drawn garments: for each wish the first garment it suits; and words alone."""
    chosen = []
    for wish in CATALOGUE_WISHES:
        suited = (image_id for image_id, garment in garments.items() if wish.suits(garment))
        if (reference_id := next(suited, None)) is not None:
            chosen.append(Example(reference_id, wish.words))
    return [*chosen, Example(None, CATALOGUE_WORDS_ONLY)]


def choose_generic(images: GalleryImages) -> list[Example]:
    """Examples for a gallery about which nothing is known: images spread over it, common words."""
    total = len(images.ids)
    indices = dict.fromkeys(
        (2 * turn + 1) * total // (2 * len(GENERIC_WORDS)) for turn in range(len(GENERIC_WORDS))
    )
    return [
        Example(images.ids[index], words)
        for index, words in zip(indices, GENERIC_WORDS, strict=False)
        if index < total
    ]


def parse_example(index: object, examples: Sequence[Example]) -> Example | None:
    """The example that a browser names by its index; None if there is none."""
    if not isinstance(index, int) or not 0 <= index < len(examples):
        return None
    return examples[index]


def render_examples(examples: Sequence[Example], images: GalleryImages) -> str:
    """One button an example, with its image and its words."""
    if not examples:
        return ""
    buttons = "".join(
        f"<li>{_button(index, example, images)}</li>" for index, example in enumerate(examples)
    )
    return f'<h3>Try</h3><ul class="tries">{buttons}</ul>'


def _button(index: int, example: Example, images: GalleryImages) -> str:
    picture = ""
    if example.reference_id is not None:
        alt = f"Like {images.describe(example.reference_id)}, but:"
        url = url_of(images.thumbnail(example.reference_id))
        picture = f'<img src="{escape(url)}" alt="{escape(alt)}" width="40" height="40">'
    return (
        f'<button type="button" data-example="{index}">{picture}'
        f"<span>{escape(example.words) or 'more like this'}</span></button>"
    )
