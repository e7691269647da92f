"""The class `Searcher`, which searches one gallery with one model."""

import copy
import math
import time
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dwc.checkpoints.load import Checkpoint
from dwc.datasets.collages import is_collage
from dwc.datasets.image_details import (
    BLANK_PART,
    FILLED_WITH,
    FRAME,
    HALF_TRANSPARENT,
    MAX_ASPECT,
    MISSING_SHARE,
    SMALL_SIDE,
    STRIP_PART,
    aspect_ratio,
    is_blank,
)
from dwc.datasets.image_loading import decode
from dwc.datasets.wardrobe import VALUE_TEXTS
from dwc.errors import ImageError, QueryError, StoreError
from dwc.gallery.filters import (
    Filter,
    find_matching,
    format_filter,
    parse_filter,
    unmatched_notes,
)
from dwc.gallery.search_index import CandidateIndex, ExactIndex
from dwc.gallery.store import Store
from dwc.modeling.combiners import ComposedQuery
from dwc.modeling.text_cleaning import TypedText
from dwc.modeling.text_rephrasing import wanted_words
from dwc.negation.exclusions import find_exclusions
from dwc.negation.notes import negation_note
from dwc.search.query import EncodedQuery, QueryEncoding, compose_texts, encode_query
from dwc.search.query_batching import QueryComposer, concatenate
from dwc.search.reference_weights import load_reference_weights
from dwc.search.results import (
    Cells,
    NearDuplicates,
    SearchResult,
    add_query,
    add_stage,
    image_cells,
    same_picture,
    same_ratio,
)
from dwc.search.unclear_wishes import (
    Measured,
    describe_lengths,
    describe_poorly_known,
    describe_possible_exclusions,
    describe_reading,
    describe_unclear,
    describe_unknown,
    find_wished_values,
    load_measured,
)
from dwc.search.weight_sweep import WeightSweep

ImageInput = Image.Image | str | Path

_COPIES_CHECKED = 24  # number of images in which copies of the reference are searched at a time
_CELLS_CACHED = 4096  # maximum number of thumbnails whose mean colors are cached, 6 KB each
_COPIES_NAMED = 3
_RESULTS_READ = 12  # number of results whose values are read


class _Reference(NamedTuple):
    """The reference image of a query, and the gallery images that equal it.

    Attributes:
        image: the decoded image; None for a query without a reference.
        positions: gallery positions of all images whose pixels are identical to the reference's.
        notes: messages for the user.
    """

    image: Image.Image | None
    positions: list[int]
    notes: list[str]


class Searcher:
    """Search engine for one gallery with one model.

    Equal arguments give equal results, up to rounding; results do not depend on other searches.
    Several threads may use a searcher; their queries then share forward passes of the model. Recent
    references and queries are cached, so that the model does not encode them twice.

    Attributes:
        checkpoint: the loaded model and its processor.
        store: the gallery store, which has the ids, vectors and images of the gallery.
        compose: the object that runs the model on queries; queries that wait at the same moment
            share a forward pass.
        index: the object that computes the dot products of a vector with the vectors of all gallery
            images.
        candidate_index: the approximate index of the gallery; None for exact search.
        reference_weights: the checkpoint's image weights for the reference queries: a fixed set of
            queries, whose weights show whether the weight of another query is high or low. None if
            the checkpoint's folder does not have these weights.
        near_duplicates: the detector of near-duplicates in the gallery.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        store: Store,
        candidate_index: CandidateIndex | None = None,
    ) -> None:
        """Create a searcher from a checkpoint and a gallery store with vectors of that checkpoint.

        A gallery store is a folder with the vectors and thumbnails of a gallery's images.

        Args:
            checkpoint: the loaded model and its processor.
            store: the gallery store.
            candidate_index: an approximate index of the store, as `open_index` in
                `dwc.gallery.search_index` returns it; None for exact search.

        Raises:
            StoreError: if the store is empty or was made by another model.
        """
        self.checkpoint = checkpoint
        self.compose = QueryComposer(checkpoint.model)
        self.reference_weights = load_reference_weights(checkpoint)
        self._values: dict[str, tuple[list[str], NDArray[np.float32]]] = {}
        self._search_in(store, candidate_index)

    def over(self, store: Store, candidate_index: CandidateIndex | None = None) -> "Searcher":
        """Return a searcher for another gallery store, which shares this searcher's model.

        Args:
            store: the other gallery store, with vectors of the same checkpoint.
            candidate_index: an approximate index of that store; None for exact search.

        Raises:
            StoreError: if the store is empty or was made by another model.
        """
        other = copy.copy(self)
        other._search_in(store, candidate_index)
        return other

    def _search_in(self, store: Store, candidate_index: CandidateIndex | None) -> None:
        store.require_model(self.checkpoint.fingerprint, self.checkpoint.name)
        if len(store) == 0:
            raise StoreError(
                f"{store.path}: has no pictures to find "
                f"({len(store.manifest.skipped)} could not be read). Index a folder that has some."
            )
        self.store = store
        self.index = ExactIndex(store.vectors)
        self.candidate_index = candidate_index
        self.near_duplicates = NearDuplicates(store.vectors, store.ids)
        self._cells = lru_cache(_CELLS_CACHED)(self._read_cells)

    def search(
        self,
        image: ImageInput | None = None,
        text: str = "",
        k: int = 12,
        shift: float = 0.0,
        reference_id: str | None = None,
        exclude_reference: bool = True,
        fold: bool = False,
        filter: str = "",
    ) -> SearchResult:
        """Return the `k` gallery images that best match an image, a text, or both.

        Args:
            image: the reference image, as a decoded image or as the path of an image file.
            text: the modification text.
            k: the number of results, 1 or more.
            shift: number added to the logit of every stream's image weight. 0 uses the learned
                weights; positive values favor the image, negative values the text. Infinity uses
                the image part alone, minus infinity the text part alone.
            reference_id: id of a gallery image to use as the reference instead of `image`. Letter
                case, a leading `./` and the Unicode form of accents need not agree, if the id then
                still fits only one image.
            exclude_reference: whether the reference is left out of the results: the image
                `reference_id`, images with identical pixels, and copies that were saved again or
                have another size.
            fold: whether near-duplicates are hidden under the best image of each group of
                near-duplicates; `k` then is the number of groups.
            filter: a condition on the metadata of the results, such as `category = dress`; see
                `dwc.gallery.filters`. Empty for no condition.

        Raises:
            QueryError: if the query or the filter is invalid.
            ImageError: if the image cannot be read.
        """
        _check_ranking(k, shift)
        query = self.encode_query(image, text, reference_id, exclude_reference, filter)
        return self.answer(query, k, shift, fold=fold)

    def answer(
        self,
        query: EncodedQuery,
        k: int = 12,
        shift: float = 0.0,
        sweep: WeightSweep | None = None,
        fold: bool = False,
    ) -> SearchResult:
        """Return the `k` gallery images that best match an encoded query.

        Args:
            query: the return value of `encode_query`.
            k: the number of results, 1 or more.
            shift: number added to the logit of every stream's image weight. Positive values favor
                the image, negative values the text.
            sweep: the return value of the method `sweep` for this query, if it was called before,
                to avoid reading the gallery's vectors again.
            fold: whether near-duplicates are hidden under the best image of each group; `k` then
                is the number of groups.
        """
        _check_ranking(k, shift)
        start = time.perf_counter()
        earlier_ms = 0.0 if sweep is None else sweep.build_ms
        sweep = sweep or self.sweep(query)
        hits = sweep.hits(shift, k, self.near_duplicates if fold else None)
        search_ms = earlier_ms + (time.perf_counter() - start) * 1e3
        add_stage("search", search_ms)
        return SearchResult(
            hits=hits,
            weights=sweep.weights(shift),
            unknown_words=self.unknown_words(query.typed or self.read_typed(query.text)),
            timings_ms={
                "encode": query.encode_ms,
                "search": search_ms,
                "total": query.encode_ms + search_ms,
            },
            gallery_size=len(self.store),
            shift=shift,
            ood_score=query.encoding.ood_score,
            model_text=query.encoding.model_text,
            notes=self.notes(query, sweep),
            filter=format_filter(query.filter),
            fitting=None if sweep.selected is None else int(np.count_nonzero(sweep.selected)),
            index="exact" if self.candidate_index is None else self.candidate_index.name,
            recall=None if self.candidate_index is None else self.candidate_index.recall,
            indexed_part=self.store.indexed_part,
        )

    def encode_query(
        self,
        image: ImageInput | None = None,
        text: str = "",
        reference_id: str | None = None,
        exclude_reference: bool = True,
        filter: str = "",
    ) -> EncodedQuery:
        """Load the reference, run the model, and return the encoded query.

        The encoded query is an input of `answer`, of `sweep` and of the functions in `dwc.explain`.
        It is valid only for this searcher's gallery and model.

        Args:
            image: the reference image, as a decoded image or as the path of an image file.
            text: the modification text.
            reference_id: id of a gallery image to use as the reference instead of `image`.
            exclude_reference: whether the reference and its copies are left out of the results.
            filter: a condition on the metadata of the results, such as `category = dress`. Empty
                for no condition.

        Raises:
            QueryError: if the query or the filter is invalid.
            ImageError: if the image cannot be read.
        """
        start = time.perf_counter()
        _check_query(image, text.strip(), reference_id)
        if reference_id is not None:
            reference_id = self.store.complete_id(reference_id)
        add_query(text.strip(), reference_id)
        condition = self._parse_filter(filter)
        typed = self.read_typed(text)
        text = typed.text
        if image is None and reference_id is None and not text:
            raise QueryError(
                f"none of these words is known to the model: {', '.join(typed.unreadable)}. It "
                "reads English; use other words, or add a picture."
            )
        reference = self._load_reference(image, reference_id)
        encoding = self.encode(reference.image, text, typed.excluded)
        encode_ms = (time.perf_counter() - start) * 1e3
        add_stage("encode", encode_ms)
        return EncodedQuery(
            image=reference.image,
            text=text,
            encoding=encoding,
            excluded=tuple(reference.positions) if exclude_reference else (),
            reference_id=reference_id,
            notes=(*reference.notes, *typed.notes),
            encode_ms=encode_ms,
            exclude_reference=exclude_reference,
            typed=typed,
            filter=condition,
        )

    def read_typed(self, text: str) -> TypedText:
        """Clean a text that a person typed, and cut off its end if it is too long for the model."""
        template = self.checkpoint.model.config.caption_template or {}
        return self.checkpoint.processor.read_typed(text, template)

    def unknown_words(self, typed: TypedText) -> list[str]:
        """Return the typed words that are not in the word vocabulary.

        If none of the text's content words is in the vocabulary, the model cannot use the text.
        Then all typed words are returned.
        """
        if typed.unreadable:
            return list(dict.fromkeys(typed.unreadable))
        return self.checkpoint.processor.unknown_words(typed.text)

    def text_notes(self, typed: TypedText, has_image: bool) -> list[str]:
        """Return messages for the user about a text.

        They name the parts that were changed or left out, and the wishes that the model may not
        follow.

        Args:
            typed: the text.
            has_image: whether the query also has a reference image.
        """
        return [*typed.notes, *self._negation_notes(typed.text, has_image)]

    def notes(self, query: EncodedQuery, sweep: WeightSweep) -> list[str]:
        """Return messages for the user about the problems of a query.

        They include messages about copies of the reference that the results leave out, and about a
        reference that is unlike the training images.

        Args:
            query: the return value of `encode_query`.
            sweep: the return value of the method `sweep` for this query.
        """
        part = self.store.indexed_part
        return [
            *([] if part is None else [part.message]),
            *_ood_notes(query.encoding.ood_score),
            *query.notes,
            *self._filter_notes(query, sweep),
            *self._copies_note(query, sweep),
            *self._negation_notes(query.text, query.image is not None),
            *_change_of_kind_notes(query.encoding.change_of_kind),
            *self._reading_notes(query, sweep),
        ]

    @cached_property
    def _measured(self) -> Measured:
        """How well the model follows single words on photographs, as measured; loaded once."""
        return load_measured(self.checkpoint.folder, self.checkpoint.fingerprint)

    def _reading_notes(self, query: EncodedQuery, sweep: WeightSweep) -> list[str]:
        """Return messages for the user about wished values that few of the best results have.

        The values of the results, such as their colors, are derived from their embeddings. The
        messages state how often this is correct according to the checkpoint's evaluation. If the
        gallery consists of drawn images, there are no messages.
        """
        wished = find_wished_values(find_exclusions(query.text)[1])
        if self.store.is_drawn or not wished:
            return []
        readable = [attribute for attribute in wished if attribute in self._measured.readings]
        first = sweep.top(0.0, _RESULTS_READ) if readable else ()
        if len(first) < _RESULTS_READ:
            return []
        notes = []
        vectors = np.asarray(self.store.vectors[np.sort(first)], dtype=np.float32)
        for attribute in readable:
            value = wished[attribute]
            values, texts = self._value_vectors(attribute)
            read = [values[n] for n in np.argmax(vectors @ texts.T, axis=1)]
            words = f'"{VALUE_TEXTS[attribute][value][0]}"'
            if attribute == "kind":
                words = f'of the kind "{value}"'
            accuracy = self._measured.readings[attribute]
            notes += describe_reading(words, read.count(value), len(first), accuracy)
        return notes

    def _value_vectors(self, attribute: str) -> tuple[list[str], NDArray[np.float32]]:
        """Return the embeddings of all texts that name a value of an attribute such as "sleeve".

        Returns:
            Two values for N texts: the value that each text names, and the unit embeddings (N, D)
            of the texts.
        """
        if attribute not in self._values:
            names = [
                (value, text) for value, group in VALUE_TEXTS[attribute].items() for text in group
            ]
            composed = self.compose_texts(None, [text for _, text in names])
            embeddings = composed.embedding.float().cpu().numpy()
            lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
            self._values[attribute] = [value for value, _ in names], embeddings / lengths
        return self._values[attribute]

    def encode(
        self, image: Image.Image | None, text: str, excluded: Sequence[str] = ()
    ) -> QueryEncoding:
        """Run this searcher's model on an image, a text, or both, and return the model's output.

        Args:
            image: the reference image, upright RGB; None for a query without a reference.
            text: the text to be inserted in the caption template; empty for none.
            excluded: names of patterns that the query excludes but the text does not name.

        Raises:
            QueryError: if there is neither image nor text, or the text exceeds the model's limit.
        """
        return encode_query(self.checkpoint, image, text, self.compose, excluded)

    def compose_texts(
        self, image: Image.Image | None, texts: Sequence[str], excluded: Sequence[str] = ()
    ) -> ComposedQuery:
        """Return N composed queries, one for each text, all with the same image or all without one.

        Usually one forward pass of the model computes all N queries. There is one exception: if an
        image is given, and the model cannot use any word of one of the texts, this text's query is
        encoded from the image alone, and each query takes a separate forward pass.

        Args:
            image: the reference image; None for queries without an image.
            texts: the N texts as typed.
            excluded: names of patterns that all N queries exclude, in addition to the exclusions in
                the texts.
        """
        typed = [self.read_typed(text) for text in texts]
        is_blank = any(not text.strip() for text in texts)
        if image is None or is_blank or all(read.text for read in typed):
            return compose_texts(self.checkpoint, image, texts, self.compose, excluded)
        return concatenate(
            [self.encode(image, read.text, (*excluded, *read.excluded)).composed for read in typed]
        )

    def sweep(self, query: EncodedQuery) -> WeightSweep:
        """Return an object that gives the gallery's scores for a query at any image weight.

        Without an approximate index, this method reads the gallery's vectors once; the returned
        object does not read them again.

        If the query excludes its reference, copies of the reference that were saved again or have
        another size are excluded, too. If the query has a filter, only images that fit it are
        ranked.
        """
        selected = None
        if query.filter is not None:
            selected = find_matching(query.filter, self.store.metadata)
        sweep = WeightSweep(
            query.encoding.composed,
            self.store.vectors,
            self.store.ids,
            query.excluded,
            selected,
            self.candidate_index,
            query.filter,
            self.store.away,
        )
        if not query.exclude_reference or query.image is None:
            return sweep
        start = time.perf_counter()
        sweep = sweep.excluding(self._copies(query, query.image, sweep))
        sweep.build_ms += (time.perf_counter() - start) * 1e3
        return sweep

    def _copies(self, query: EncodedQuery, image: Image.Image, sweep: WeightSweep) -> list[int]:
        """Return the gallery positions of copies of the reference, such as rescaled copies.

        Copies are among the best results for the image part alone. The method checks these results
        in batches, best first, and stops after a batch without a copy. An image is a copy if its
        aspect ratio and its pixels agree with those of the reference. If the reference is in the
        gallery, the two images must also be near-duplicates by their embeddings.

        Args:
            query: the encoded query.
            image: the query's reference image.
            sweep: the query's scores.
        """
        copies: list[int] = []
        own = None
        known = query.excluded[0] if query.excluded else None
        count = 0
        while True:
            ranked = sweep.top(math.inf, count + _COPIES_CHECKED).tolist()
            batch, count = ranked[count:], count + _COPIES_CHECKED
            near = [n for n in batch if same_ratio(image.size, self.store.rows.size(n))]
            if known is not None:
                near = self.near_duplicates.near(known, near)
            same = []
            if near:
                own = image_cells(image) if own is None else own
                for position in near:
                    cells = self._cells(position)
                    if cells is not None and same_picture(own, cells):
                        same.append(position)
            copies += same
            if not same or len(ranked) < count:
                return copies

    def _read_cells(self, position: int) -> Cells | None:
        """Return the mean colors of a gallery image in 32 by 32 cells, as an array (32, 32, 3).

        The colors are computed from the image's thumbnail by `image_cells`. The result is None if
        the thumbnail cannot be read.
        """
        try:
            return image_cells(decode(self.store.draw_thumbnail(self.store.ids[position])))
        except ImageError:
            return None

    def _copies_note(self, query: EncodedQuery, sweep: WeightSweep) -> list[str]:
        """Return messages that name copies of the reference, which the results do not include."""
        ids = self.store.ids
        resaved = [ids[n] for n in sweep.excluded if n not in query.excluded]
        fitting = sweep.selected
        exact = [
            ids[n]
            for n in query.excluded
            if ids[n] != query.reference_id and (fitting is None or fitting[n])
        ]
        notes = []
        if resaved:
            notes.append(f"The reference saved again is left out: {_name_copies(resaved)}.")
        if exact:
            notes.append(f"Exact copies of the reference are left out: {_name_copies(exact)}.")
        return notes

    def _parse_filter(self, text: str) -> Filter | None:
        return parse_filter(text, self.store.metadata) if text.strip() else None

    def _filter_notes(self, query: EncodedQuery, sweep: WeightSweep) -> list[str]:
        """Return messages for the user about a query's filter; empty if there is no problem.

        There is one message for each text value that the filter requires but that no image has.
        There is another message if no image fits the whole filter, apart from images that are
        excluded from the results.
        """
        if query.filter is None:
            return []
        notes = unmatched_notes(query.filter, self.store.metadata)
        if len(sweep) == 0:
            notes.append(f"No picture fits the filter {format_filter(query.filter)}.")
        return notes

    def _negation_notes(self, text: str, has_image: bool) -> list[str]:
        """Return messages for the user about wishes in a text that the model may not follow.

        There are messages about

        - negations that the model has not learned or often overlooks;
        - words that the model does not know, if they are at least half of the text;
        - several excluded colors or kinds of garments, texts that say nothing about clothes, and
          unclear wishes such as "red or green" (see `describe_unclear`), if the setting
          `rephrase_exclusions` of the checkpoint's processor is on;
        - lengths, and words that the model followed poorly in the checkpoint's evaluation, unless
          the gallery consists of drawn images.
        """
        notes = []
        unknown_words = self.checkpoint.processor.unknown_words
        typed = text
        if self.checkpoint.processor.rephrase_exclusions:
            # `dwc.search.exclusion_encoding` applies the removed exclusions
            exclusions, text = find_exclusions(text, keep_overlooked=True)
            for kind, noun, nouns in (
                ("color", "color", "colors"),
                ("kind", "kind of garment", "kinds of garments"),
            ):
                names = [item.name for item in exclusions if item.type == kind]
                if len(names) > 1 and wanted_words(text):
                    notes.append(
                        f"Several {nouns} are excluded ({', '.join(names)}): some results may "
                        f"have one of them. Name a {noun} that you want instead."
                    )
            if not exclusions and not has_image and text and not wanted_words(text):
                notes.append(
                    "The words say nothing about clothes, so the order of the results means "
                    "nothing. Describe what you want."
                )
            notes += describe_unclear(text, has_image)
        unknown = unknown_words(text)
        if self.checkpoint.processor.rephrase_exclusions:
            notes += describe_possible_exclusions(typed, text, unknown)
        if not self.store.is_drawn:
            rest = find_exclusions(text)[1]
            notes += describe_poorly_known(rest, self._measured.poorly_known)
            if has_image and self._measured.poorly_known:  # measured on photographs at all
                notes += describe_lengths(rest)
        notes += describe_unknown(text, unknown)
        note = negation_note(text, lambda word: not unknown_words(word), has_image)
        return [*notes, note] if note else notes

    def _load_reference(self, image: ImageInput | None, reference_id: str | None) -> _Reference:
        if reference_id is not None:
            try:
                same_pixels = self.store.positions_like(reference_id)
            except StoreError as error:
                raise QueryError(f"{error} Take a reference that is in the gallery.") from error
            stored = self.store.picture(reference_id)
            notes = _image_notes(stored.image)
            if not stored.original:
                notes.append(
                    f"The original of {reference_id} is gone or changed; its thumbnail was used."
                )
            return _Reference(stored.image, same_pixels, notes)
        if image is None:
            return _Reference(None, [], [])
        decoded = decode(image)
        return _Reference(decoded, self.store.positions_showing(decoded), _image_notes(decoded))


def _change_of_kind_notes(change: tuple[str, str] | None) -> list[str]:
    """Return a message if a query asks for another kind of garment than its reference shows.

    The result is a list with one message, or empty if the query changes no kind.

    Args:
        change: the reference's kind and the kind that the text asks for; None for no change.
    """
    if change is None:
        return []
    shown, wished = change
    return [
        f'The model takes the picture\'s garment for "{shown}", and the words ask for "{wished}": '
        "the results are moved to that kind, and may keep less of the picture."
    ]


def _ood_notes(ood_score: float | None) -> list[str]:
    """Return a message if a reference is unlike the training images.

    The result is a list with one message, or empty if the reference is not unusual.

    Args:
        ood_score: the out-of-distribution score of the reference; None if unknown.
    """
    if ood_score is None or ood_score <= 1:
        return []
    return ["This picture is unlike those the model learned from: take its results with caution."]


def _image_notes(image: Image.Image) -> list[str]:
    """Return messages for the user about problems of a decoded reference image.

    There is a message for each of these problems; without them, the result is empty:

    - the image has a single color, is small, or is a collage of several pictures;
    - the original picture is very tall or wide, so that only a square part of it is used, or the
      model gets it squeezed or cut;
    - the file has several frames or pages, and only one of them is used;
    - the file of an uncompressed picture may be incomplete;
    - transparent parts of the picture were filled with a color.
    """
    notes = []
    filling = image.info.get(FILLED_WITH)
    is_empty = is_blank(image)
    if is_empty:
        reason = "it is of a single color" if filling is None else f"on {filling}, it vanishes"
        notes.append(f"Nothing can be seen in the picture: {reason}. Give another one.")
    elif image.info.get(HALF_TRANSPARENT):
        notes.append(
            f"The picture is half transparent: its colors are mixed with {filling}. Save it "
            "without transparency."
        )
    elif filling is not None:
        notes.append(f"The transparent parts of the picture are read as {filling}.")
    if not is_empty:
        notes += _shape_notes(image)
    if (frame := image.info.get(FRAME)) is not None:
        notes.append(
            f"The file has several pictures, such as pages or the frames of an animation: number "
            f"{frame} is used. To use another one, save it as a file of its own."
        )
    if (missing := image.info.get(MISSING_SHARE)) is not None:
        notes.append(
            f"The picture may be incomplete: the last {missing:.0%} of its file are zero bytes, as "
            "an interrupted download leaves them. Compare it with the original."
        )
    if is_collage(image):
        notes.append(
            "This seems to be several pictures in one: they are read together. Crop it to the one "
            "that you mean."
        )
    width, height = image.size
    if min(width, height) < SMALL_SIDE:
        notes.append(
            f"Little can be seen in a picture of {width} × {height} pixels: take its results with "
            f"caution, or give one of at least {SMALL_SIDE} × {SMALL_SIDE}."
        )
    return notes


def _shape_notes(image: Image.Image) -> list[str]:
    """Return a message for the user if a decoded reference image is very tall or wide.

    The result is a list with one message, or empty for other images. The image must not be blank.
    """
    if (part := image.info.get(STRIP_PART)) is not None:
        cut = "upper square of this tall" if part == "top" else "middle square of this wide"
        blank = ", and nothing can be seen in it" if BLANK_PART in image.info else ""
        return [f"Only the {cut} picture is used{blank}. Crop it to the garment."]
    ratio = aspect_ratio(image)
    if ratio <= MAX_ASPECT:
        return []
    shape = "tall" if image.height > image.width else "wide"
    return [
        f"The picture is very {shape} ({ratio:.1f}:1): the model reads a square, in which garments "
        "are squeezed or cut off. Crop it to the garment."
    ]


def _name_copies(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _COPIES_NAMED} more" if len(ids) > _COPIES_NAMED else ""
    return ", ".join(ids[:_COPIES_NAMED]) + more


def _check_query(image: ImageInput | None, text: str, reference_id: str | None) -> None:
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
