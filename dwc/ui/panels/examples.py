"""Panel of example searches, which a visitor starts with one click.

The examples are chosen to suit the current gallery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwc.catalogue.schema import Garment
from dwc.ui.format import escape, on_load
from dwc.ui.gallery_images import GalleryImages, StoreImages, url_of

ON_LOAD = on_load("dwcPanels.examples", "ask")

GENERIC_WORDS = ("in red", "darker", "with stripes", "without any pattern")
"""Modification texts that suit most pictures of clothes and objects."""


@dataclass(frozen=True)
class Example:
    """An example search.

    Attributes:
        reference_id: The id of the reference image in the gallery; None for a search by text.
        words: The modification text, which says what should be different; may be empty.
    """

    reference_id: str | None
    words: str


@dataclass(frozen=True)
class Wish:
    """A modification text for an example, and the properties that its reference must have.

    For the text "no pattern", for example, the garment in the reference image must have a pattern.

    Attributes:
        words: The modification text.
        category: The category that the garment must have.
        values: The values that the garment must have, by attribute name.
    """

    words: str
    category: str
    values: Mapping[str, str]

    def suits(self, garment: Garment) -> bool:
        """Return whether a garment has the category and the values that the reference must have."""
        return garment.category == self.category and all(
            garment.get(name) == value for name, value in self.values.items()
        )


# The page opens with the first example. Both its image and its text matter: the text determines the
# sleeves and the shade, and the image determines the kind of garment, the color and the pattern.
CATALOGUE_WISHES = (
    Wish(
        "darker, with long sleeves",
        "t_shirt",
        {"colour": "teal", "shade": "light", "pattern": "striped", "sleeve": "short"},
    ),
    Wish(
        "blue, with white stripes",
        "dress",
        {"colour": "pink", "shade": "light", "pattern": "plain", "sleeve": "long"},
    ),
    Wish(
        "shorter, and in red",
        "boots",
        {"colour": "black", "pattern": "plain", "length": "long"},
    ),
    Wish("no pattern", "shirt", {"colour": "blue", "shade": "dark", "pattern": "checked"}),
    Wish(
        "as a bag",
        "dress",
        {"colour": "orange", "pattern": "floral", "sleeve": "sleeveless"},
    ),
)
CATALOGUE_WORDS_ONLY = "a yellow floral skirt"


def choose_examples(images: StoreImages) -> list[Example]:
    """Return example searches that suit a gallery, of drawn garments or of any other images."""
    if images.garments:
        return choose_from_catalogue(images.garments)
    return choose_generic(images)


def choose_from_catalogue(garments: Mapping[str, Garment]) -> list[Example]:
    """Return the example searches for a gallery of drawn garments.

    Each modification text in `CATALOGUE_WISHES` is combined with the first suitable garment. A text
    without a suitable garment is omitted. The last example has only a text.

    Args:
        garments: The drawn garment in each image of the gallery, by image id.
    """
    chosen = []
    for wish in CATALOGUE_WISHES:
        suitable_ids = (image_id for image_id, garment in garments.items() if wish.suits(garment))
        if (reference_id := next(suitable_ids, None)) is not None:
            chosen.append(Example(reference_id, wish.words))
    return [*chosen, Example(None, CATALOGUE_WORDS_ONLY)]


def choose_generic(images: GalleryImages) -> list[Example]:
    """Return example searches for a gallery of any images.

    Each text in `GENERIC_WORDS` is combined with an image. These images are evenly spaced in the
    order of the gallery. A gallery with fewer images than texts gets one example per image.
    """
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
    """Return the example with the index that a browser sent; None if the index is invalid."""
    if not isinstance(index, int) or not 0 <= index < len(examples):
        return None
    return examples[index]


def render_examples(examples: Sequence[Example], images: GalleryImages) -> str:
    """Return the HTML of one button per example, with the image and the text of the example."""
    if not examples:
        return ""
    buttons = "".join(
        f"<li>{_button(index, example, images)}</li>" for index, example in enumerate(examples)
    )
    return f'<h3>Try</h3><ul class="tries">{buttons}</ul>'


def _button(index: int, example: Example, images: GalleryImages) -> str:
    picture = content = ""
    if example.reference_id is not None:
        alt = f"Like {images.describe(example.reference_id)}, but:"
        url = url_of(images.thumbnail(example.reference_id))
        picture = f'<img src="{escape(url)}" alt="{escape(alt)}" width="40" height="40">'
        content = f' data-content="{images.digest(example.reference_id)}"'
    return (
        f'<button type="button" data-example="{index}"{content}>{picture}'
        f"<span>{escape(example.words) or 'more like this'}</span></button>"
    )
