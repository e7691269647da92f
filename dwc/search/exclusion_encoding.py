"""Moving of queries away from what their texts exclude, such as "not red" or "without a hood".

A text may also ask for another kind of garment than the image shows, such as "as a skirt". Such a
query is moved away from the image's kind.

- `find_excluded` returns what a query excludes.
- `ExclusionEncoder` computes the vectors that are subtracted from the embeddings of such queries.
- `move_from_exclusions` subtracts them.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dwc.catalogue.language.exclusions import other_values
from dwc.checkpoints.load import Checkpoint
from dwc.modeling.combiners import ComposedQuery
from dwc.modeling.processing_dwc import fill_template
from dwc.modeling.text_rephrasing import wanted_words
from dwc.negation.exclusions import Exclusion, exclusion_of, find_exclusions
from dwc.negation.garment_words import find_kind, find_wished_kind
from dwc.search.query_batching import Compose

# How far a query is moved away from what it excludes; 1 counts as much as the query. Chosen on
# photographs and drawings, see `assets/docs/limits.md`.
_DISTANCES = {"color": 1.0, "pattern": 1.4, "kind": 2.2, "other_kind": 1.0, "detail": 2.0}
_TO_OTHER_DETAILS = 2.0  # weight of what tells a detail from the details that can replace it
# How far a query is moved towards what is wanted: if a color or a pattern is excluded, towards the
# rest of the text; if a detail is excluded and the text names no kind of garment, towards the kind
# of the image and the rest of the text. If the text only excludes a color or a pattern, towards the
# kind of the image; if it names a kind of garment and excludes a detail, towards its rest.
_TO_REST = 0.3
_TO_KIND, _TO_TEXT = 0.7, 0.5
_TO_IMAGE_KIND = 0.8
_TO_WANTED = 2.5
# How far a query that asks for another kind of garment than its image shows is moved away from the
# image's kind, and towards the other kind.
_FROM_SHOWN_KIND = 0.6
_TO_WISHED_KIND = 0.6

# The kinds of garments between which `ExclusionEncoder` decides for an image.
_KINDS = (
    "dress", "skirt", "shirt", "t-shirt", "jumper", "jacket", "hoodie", "trousers", "shorts",
    "boots", "trainers", "heels", "shoes", "sandals", "bag", "hat",
)  # fmt: skip

# Excluded names that stand for several of `_KINDS`.
_SHOES = ("boots", "trainers", "heels", "sandals", "shoes")
_TOPS = ("shirt", "t-shirt", "jumper", "jacket", "hoodie")
_CONTAINED = {
    "shoes": _SHOES, "shoe": _SHOES, "sneakers": ("trainers",), "pumps": ("heels",),
    "top": _TOPS, "pants": ("trousers",), "sweater": ("jumper",), "pullover": ("jumper",),
    "tee": ("t-shirt",), "coat": ("jacket",), "handbag": ("bag",),
    "cap": ("hat",), "gown": ("dress",), "frock": ("dress",), "sweatshirt": ("hoodie",),
}  # fmt: skip

_ALSO_CALLED = {"shirt": ("t-shirt",)}  # kind -> other kinds that people call by its name

_Embeddings = Mapping[str, Tensor]  # by the stream's name; (D,), or (N, D) for N queries


class QueryExclusions(NamedTuple):
    """What a query excludes.

    Attributes:
        items: the excluded colors, kinds of garments and details.
        kind: the last kind of garment that the text names, such as "dress"; None if it names none,
            or excludes this kind.
        wanted: the text without the exclusions; empty if it says nothing about clothes.
        wished_kind: the kind of garment that the text asks for in a form such as "as a skirt"; None
            if it asks for none, or excludes a kind. If the reference image shows another kind, that
            kind is excluded.
    """

    items: Sequence[Exclusion] = ()
    kind: str | None = None
    wanted: str = ""
    wished_kind: str | None = None


def find_excluded(checkpoint: Checkpoint, text: str, patterns: Sequence[str]) -> QueryExclusions:
    """Find what a query excludes.

    The result is empty if the setting `rephrase_exclusions` of the checkpoint's processor is off.

    Args:
        checkpoint: the checkpoint.
        text: the text as the model reads it, without the caption template; may be empty.
        patterns: names of patterns and parts of garments, such as "stripes", that the query
            excludes although the text does not mention them, because the text was rephrased.
    """
    if not checkpoint.processor.rephrase_exclusions:
        return QueryExclusions()
    items, rest = find_exclusions(text)
    items += [exclusion_of(name) for name in dict.fromkeys(patterns)]
    kinds = {item.name for item in items if item.type == "kind"}
    kind = find_kind(rest)
    wished_kind = None if kinds else find_wished_kind(rest)
    return QueryExclusions(items, None if kind in kinds else kind, wanted_words(rest), wished_kind)


class ExclusionEncoder:
    """Encoder of exclusions: it computes the vectors to subtract from queries such as "not red".

    A text that asks for another kind of garment than the image shows excludes the image's kind.

    The vectors are in the space of the embeddings. Subtracting a vector from the embedding of a
    query moves the query away from what it excludes.

    Args:
        checkpoint: the checkpoint.
        compose: function that runs the checkpoint's model.
        image: the preprocessed reference image of all queries, (1, 3, height, width); None for
            queries without an image.
    """

    def __init__(self, checkpoint: Checkpoint, compose: Compose, image: Tensor | None) -> None:
        self._checkpoint, self._compose, self._image = checkpoint, compose, image
        self._embeddings: dict[str, _Embeddings] = {}
        self._changes: dict[str, tuple[str, str] | None] = {}  # by the wished kind

    def directions(self, excluded: QueryExclusions) -> _Embeddings:
        """Return the vector to subtract from the embedding of one query, for each stream.

        It is the sum of one vector for each of the n excluded items, divided by the square root of
        n.

        The vector for an item must not contain what the query asks for. For example, the embedding
        of "wide brim" is similar to that of "hat", but a query that excludes a wide brim may still
        ask for a hat. So the vector for "wide brim" is its embedding without the component along
        "hat". The component along the rest of the text is removed in the same manner.

        If the text asks for another kind of garment than the image shows, the image's kind is
        excluded, too; see `change_of_kind`.

        Args:
            excluded: what the query excludes.

        Returns:
            For each stream's name, a vector (D,); empty if the query excludes nothing.
        """
        total = dict(self._to_wished_kind(excluded))
        if not excluded.items:
            return total
        names = [item.name for item in excluded.items]
        names += [excluded.wanted] if excluded.wanted else []
        kind = excluded.kind
        are_values = all(item.type in ("color", "pattern") for item in excluded.items)
        says_no_more = excluded.wanted in ("", "in plain")  # "no stripes" is read as "in plain"
        is_of_image = kind is None and self._image is not None and (not are_values or says_no_more)
        self._load([*names, *([kind] if kind else []), *(_KINDS if is_of_image else [])])
        if is_of_image:
            kind = self._kind_of_image([i.name for i in excluded.items if i.type == "kind"])
        if kind is not None:
            contrasts = [_contrasts(item, kind) for item in excluded.items]
            self._load([text for pairs in contrasts for texts in pairs for text in texts])
        if are_values and is_of_image and kind is not None:
            for name, vector in self._embed(kind).items():
                total[name] = -_TO_IMAGE_KIND * vector
        for item in excluded.items:
            if kind is not None and item.type in ("detail", "kind"):
                direction = self._from_garment(item, kind, excluded)
            else:
                direction = self._from_name(item, excluded.wanted)
            for name, vector in direction.items():
                total[name] = total.get(name, 0) + vector / math.sqrt(len(excluded.items))
        return total

    def change_of_kind(self, excluded: QueryExclusions) -> tuple[str, str] | None:
        """Return the image's kind of garment and the other kind that a text asks for.

        The result is None if the query has no image, if the text asks for no kind, or if the image
        shows the kind that the text asks for.

        Args:
            excluded: what the query excludes, and the kind that it asks for.
        """
        wished = excluded.wished_kind
        if self._image is None or wished is None:
            return None
        if wished not in self._changes:
            self._load([*_KINDS, wished])
            shown = self._kind_of_image([wished])
            is_same = shown is None or shown in _ALSO_CALLED.get(wished, ())
            self._changes[wished] = None if is_same else (str(shown), wished)
        return self._changes[wished]

    def _to_wished_kind(self, excluded: QueryExclusions) -> _Embeddings:
        """For each stream, return the vector (D,) to subtract for a change of the kind of garment.

        Subtracting the vector moves the query away from the kind that the image shows, and toward
        the kind that the text asks for. Models do not learn such changes, since the queries of
        their training ask for another color, pattern, sleeve or length.

        Args:
            excluded: what the query excludes, and the kind that it asks for.

        Returns:
            For each stream's name, the vector; empty if the query does not change the kind.
        """
        change = self.change_of_kind(excluded)
        if change is None:
            return {}
        shown, wished = (self._embed(kind) for kind in change)
        return {
            name: _FROM_SHOWN_KIND * _orthogonal(shown[name], vector[None])
            - _TO_WISHED_KIND * vector
            for name, vector in wished.items()
        }

    def _from_name(self, item: Exclusion, wanted: str) -> _Embeddings:
        """For each stream, compute the vector (D,) to subtract for an excluded item from its name.

        This vector is used for colors and patterns, and for other items if no kind of garment is
        known.

        Args:
            item: the excluded item, such as a color.
            wanted: the text without the exclusions; may be empty.
        """
        distance = _DISTANCES["color" if item.type == "detail" else item.type]
        directions = {}
        for stream, vector in self._embed(item.name).items():
            directions[stream] = distance * vector
            if wanted:
                rest = self._embed(wanted)[stream]
                directions[stream] = distance * _orthogonal(vector, rest[None]) - _TO_REST * rest
        return directions

    def _from_garment(self, item: Exclusion, kind: str, excluded: QueryExclusions) -> _Embeddings:
        """For each stream, return the vector (D,) to subtract for an excluded detail or kind.

        The vector depends on the kind of garment that the query is about: to exclude a hood from a
        dress, another vector is needed than to exclude it from a coat.

        Args:
            item: the excluded item: a detail or another kind of garment.
            kind: the kind of garment that the text names or, if it names none, that the image
                shows.
            excluded: all items that the query excludes, and the text without them.
        """
        distance = _DISTANCES["detail" if item.type == "detail" else "other_kind"]
        if excluded.kind is None and excluded.wanted:
            weights = {kind: _TO_KIND, excluded.wanted: _TO_TEXT}
        else:
            is_part = item.type == "detail" and excluded.kind is not None
            weights = {excluded.wanted or kind: _TO_WANTED if is_part else 1.0}
        directions = {}
        for stream in self._embed(kind):
            wanted = torch.stack([self._embed(text)[stream] for text in weights])
            away = difference = torch.zeros_like(wanted[0])
            for name, *others in _contrasts(item, kind):
                part = self._embed(name)[stream]
                away = away + _orthogonal(part, wanted)
                if others:
                    mean = torch.stack([self._embed(text)[stream] for text in others]).mean(dim=0)
                    difference = difference + nn.functional.normalize(part - mean, dim=0)
            away = nn.functional.normalize(away, dim=0)
            away = away + _TO_OTHER_DETAILS * _orthogonal(difference, wanted)
            towards = torch.tensor(list(weights.values())) @ wanted
            directions[stream] = distance * nn.functional.normalize(away, dim=0) - towards
        return directions

    def _kind_of_image(self, excluded: Sequence[str]) -> str | None:
        """Return the kind of garment whose name is most similar to the reference image.

        Args:
            excluded: names of excluded kinds of garments.

        Returns:
            The kind, such as "dress" or "boots"; None if the most similar kind is excluded. A more
            general name excludes it, too: "shoes" excludes "boots".
        """
        kinds = list(dict.fromkeys((*_KINDS, *excluded)))
        scores = torch.zeros(len(kinds))
        for name, part in self._image_query.streams.items():
            names = torch.stack([self._embed(kind)[name] for kind in kinds])
            scores += nn.functional.normalize(names, dim=1) @ part.embedding[0]
        kind = kinds[int(scores.argmax())]
        is_excluded = any(kind in (name, *_CONTAINED.get(name, ())) for name in excluded)
        return None if is_excluded else kind

    @cached_property
    def _image_query(self) -> ComposedQuery:
        """The composed query that consists of the reference image alone, without a text."""
        assert self._image is not None
        return self._compose({"pixel_values": self._image})

    def _embed(self, text: str) -> _Embeddings:
        """Return the embedding (D,) in each stream of a query that consists of a text alone."""
        self._load([text])
        return self._embeddings[text]

    def _load(self, texts: Sequence[str]) -> None:
        """Compute the embeddings of the texts in one forward pass, except those computed before."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._embeddings]
        if not missing:
            return
        template = self._checkpoint.model.config.caption_template or {}
        filled = [fill_template(template, [text]) for text in missing]
        composed = self._compose(dict(self._checkpoint.processor(text=filled)))
        for row, text in enumerate(missing):
            self._embeddings[text] = {
                stream: part.embedding[row] for stream, part in composed.streams.items()
            }


def _contrasts(item: Exclusion, kind: str) -> list[list[str]]:
    """Return texts that name an excluded item, and texts that name what a garment can have instead.

    Args:
        item: the excluded item: a detail or a kind of garment.
        kind: the kind of garment that the query is about.

    Returns:
        Lists of texts. The first text of each list names the excluded item, such as "long sleeves".
        The other texts name the details that a garment of this kind can have instead, such as
        "sleeveless" and "short sleeves". If no such details are known, there is one other text,
        such as "without buttons". If the item is a kind of garment, there are no other texts.
    """
    if item.type != "detail":
        return [[item.name]]
    others = other_values(item.name, kind)
    return [
        [item.name, *(others or [f"without {item.name}"])],
        [
            f"{kind} with {item.name}",
            *([f"{kind} with {other}" for other in others] or [f"{kind} without {item.name}"]),
        ],
    ]


def _orthogonal(vector: Tensor, others: Tensor) -> Tensor:
    """Return the part of a vector (D,) orthogonal to N others (N, D), scaled to unit length."""
    basis = torch.linalg.qr(others.T)[0]
    return nn.functional.normalize(vector - basis @ (basis.T @ vector), dim=0)


def move_from_exclusions(
    composed: ComposedQuery, excluded: Sequence[QueryExclusions], encoder: ExclusionEncoder
) -> ComposedQuery:
    """Move the embeddings of N composed queries away from what the queries exclude.

    For example, a vector that `ExclusionEncoder` computes for "red" is subtracted from the
    embedding of "in stripes, not red".
    Queries that exclude nothing are not changed.

    Args:
        composed: the N queries.
        excluded: what each of the N queries excludes.
        encoder: encoder of the exclusions, for the reference image of the queries.
    """
    vectors = [encoder.directions(query) for query in excluded]
    if not any(vectors):
        return composed
    directions = {name: torch.zeros_like(part.embedding) for name, part in composed.streams.items()}
    for row, by_stream in enumerate(vectors):
        for name, vector in by_stream.items():
            directions[name][row] = vector
    return composed.excluding(directions)
