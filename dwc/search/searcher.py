"""From what a person gives to what the gallery has: checks, one pass of the model, a ranking."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.datasets.image_loading import decode
from dwc.errors import QueryError, StoreError
from dwc.gallery.exact_search import ExactIndex, best_positions
from dwc.gallery.store import Store
from dwc.modeling.composition import ComposedQuery, Composition
from dwc.search.near_duplicates import NearDuplicates
from dwc.search.query import (
    Compose,
    EncodedQuery,
    QueryEncoding,
    compose_texts,
    encode_query,
    model_composer,
)
from dwc.search.reference_weights import load_reference_weights
from dwc.search.results import SearchResult, Weight, build_hits
from dwc.search.weight_sweep import WeightSweep

Picture = Image.Image | str | Path


class _Reference(NamedTuple):
    """The reference picture, if any, and where the gallery holds it."""

    image: Image.Image | None
    positions: list[int]
    notes: list[str]


class Searcher:
    """Answers queries over one gallery with one model.

    It keeps nothing of a query: the same arguments give the same answer, from any thread. `context`
    holds the weights of many queries, where the checkpoint comes with them; `look_alikes` tells
    which pictures of the gallery are nearly the same. `compose` is how the model's pass is made,
    and may be set where that is to be made elsewhere.
    """

    def __init__(self, checkpoint: Checkpoint, store: Store) -> None:
        """Raises `StoreError` for an empty store, or one that another model made."""
        store.require_model(checkpoint.fingerprint, checkpoint.name)
        if len(store) == 0:
            raise StoreError(
                f"{store.path}: has no pictures to find "
                f"({len(store.manifest.skipped)} could not be read). Index a folder that has some."
            )
        self.checkpoint = checkpoint
        self.compose: Compose = model_composer(checkpoint.model)
        self.store = store
        self.index = ExactIndex(store.vectors)
        self.reference_weights = load_reference_weights(checkpoint)
        self.near_duplicates = NearDuplicates(store.vectors, store.ids)

    def search(
        self,
        image: Picture | None = None,
        text: str = "",
        k: int = 12,
        shift: float = 0.0,
        reference_id: str | None = None,
        exclude_reference: bool = True,
    ) -> SearchResult:
        """Find the `k` gallery pictures that fit a picture, words, or both.

        The picture is `image`, or the gallery's own `reference_id`. `shift` is added to the logit
        of every stream's image weight: 0 is what was learned, positive leans to the picture,
        negative to the words, infinity is one of them alone. With `exclude_reference` the picture
        itself is not among the hits: neither `reference_id`, nor any that has the same pixels.

        Raises `QueryError` for what cannot be asked, `ImageError` for a picture that cannot be
        read.
        """
        _check_ranking(k, shift)
        return self.answer(
            self.encode_query(image, text, reference_id, exclude_reference), k, shift
        )

    def answer(self, query: EncodedQuery, k: int = 12, shift: float = 0.0) -> SearchResult:
        """Rank the gallery for a question that `ask` returned; otherwise as `search`."""
        _check_ranking(k, shift)
        start = time.perf_counter()
        composed = query.encoding.composed.shifted(shift)
        embedding = composed.embedding[0].float().numpy()  # (D,)
        scores = self.index.scores(embedding)  # (n,)
        positions = best_positions(scores, k, query.excluded)
        parts = _split(composed, self.store.vectors[positions])
        hits = build_hits(self.store.ids, scores, positions, parts, query.excluded)
        search_ms = (time.perf_counter() - start) * 1e3
        return SearchResult(
            hits=hits,
            weights={name: _weight(stream) for name, stream in composed.streams.items()},
            unknown_words=self.checkpoint.processor.unknown_words(query.text),
            timings_ms={
                "encode": query.encode_ms,
                "search": search_ms,
                "total": query.encode_ms + search_ms,
            },
            gallery_size=len(self.store),
            shift=shift,
            ood_score=query.encoding.ood_score,
            model_text=query.encoding.model_text,
            notes=list(query.notes),
        )

    def encode_query(
        self,
        image: Picture | None = None,
        text: str = "",
        reference_id: str | None = None,
        exclude_reference: bool = True,
    ) -> EncodedQuery:
        """Read and encode a question as `search` does, for what explains it.

        What is returned belongs to this searcher's store and model. Raises as `search` does.
        """
        start = time.perf_counter()
        text = text.strip()
        _check_question(image, text, reference_id)
        reference = self._reference(image, reference_id)
        encoded = self.encode(reference.image, text)
        return EncodedQuery(
            image=reference.image,
            text=text,
            encoding=encoded,
            excluded=tuple(reference.positions) if exclude_reference else (),
            reference_id=reference_id,
            notes=tuple(reference.notes),
            encode_ms=(time.perf_counter() - start) * 1e3,
        )

    def encode(self, image: Image.Image | None, text: str) -> QueryEncoding:
        """`encode_query` of this searcher's model, by way of `compose`."""
        return encode_query(self.checkpoint, image, text, self.compose)

    def encode_wordings(self, image: Image.Image | None, texts: Sequence[str]) -> ComposedQuery:
        """`encode_wordings` of this searcher's model, by way of `compose`."""
        return compose_texts(self.checkpoint, image, texts, self.compose)

    def sweep(self, query: EncodedQuery) -> WeightSweep:
        """Meet the gallery once, so that any shift of this question costs next to nothing."""
        return WeightSweep(
            query.encoding.composed, self.store.vectors, self.store.ids, query.excluded
        )

    def _reference(self, image: Picture | None, reference_id: str | None) -> _Reference:
        if reference_id is not None:
            try:
                alike = self.store.positions_like(reference_id)
            except StoreError as error:
                raise QueryError(f"{error} Take a reference that is in the gallery.") from error
            found = self.store.picture(reference_id)
            notes = []
            if not found.original:
                notes.append(
                    f"The original of {reference_id} is gone or changed; its thumbnail was used."
                )
            return _Reference(found.image, alike, notes)
        if image is None:
            return _Reference(None, [], [])
        picture = decode(image)
        return _Reference(picture, self.store.positions_showing(picture), [])


def _check_question(image: Picture | None, text: str, reference_id: str | None) -> None:
    if image is not None and reference_id is not None:
        raise QueryError("two references were given, a picture and a gallery id. Give one of them.")
    if image is None and reference_id is None and not text:
        raise QueryError("neither a picture nor words were given. Give one of them, or both.")


def _check_ranking(k: int, shift: float) -> None:
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    if math.isnan(shift):
        raise QueryError(
            "the shift is not a number. Give 0 for the learned weight, or inf or -inf."
        )


@torch.inference_mode()
def _split(composed: ComposedQuery, vectors: NDArray[np.float32]) -> list[dict[str, float]]:
    """The scores of K gallery vectors (K, D), each as every stream's image and text part."""
    parts: dict[str, list[float]] = {}
    start = 0
    for name, stream in composed.streams.items():
        width = stream.embedding.shape[-1]
        gallery = torch.from_numpy(np.ascontiguousarray(vectors[:, start : start + width]))
        split = stream.split_scores(gallery.to(stream.embedding))
        parts[f"{name}_image"] = split.image[0].tolist()
        parts[f"{name}_text"] = split.text[0].tolist()
        if stream.joint_part is not None:
            parts[f"{name}_joint"] = split.joint[0].tolist()
        start += width
    return [{name: values[row] for name, values in parts.items()} for row in range(len(vectors))]


def _weight(stream: Composition) -> Weight:
    image = float(stream.image_weight[0, 0])
    return Weight(image=image, text=1.0 - image)
