"""Scores of a gallery's images for one query at any image weight.

The weight is changed by a weight shift: a number that is added to the logit of every stream's image
weight.

A stream's embedding at image weight w is w i + (1-w) t [+ j], divided by its length. Here i is the
image part, t the text part and j the joint part, which only some combiners have. The cosine of the
embedding with a gallery vector g is therefore a weighted sum of the dot products g·i, g·t [and
g·j]. These two or three dot products are computed once for each image and stream; only this step
reads the gallery's vectors. The scores at any weight shift are then computed from the dot products.

With an approximate index, only candidates are scored: the images that the index proposes for the
embedding at a weight shift. The best of them are chosen by the same scores as without an index. The
dot products of all images are computed only if the scores of all images are needed, for example for
a rank.
"""

import copy
import math
import mmap
import threading
import time
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError, quote
from dwc.gallery.filters import Filter
from dwc.gallery.search_index import CandidateIndex, Vectors, best_positions, without_positions
from dwc.gallery.store import match_id
from dwc.modeling.combiners import ComposedQuery, Composition, shift_one_weight
from dwc.search.query_batching import set_torch_threads
from dwc.search.results import Hit, NearDuplicates, RankTrace, TracedItem, Weight, build_hits

TRACE_SHIFTS = (-math.inf, *(step / 2 for step in range(-12, 13)), math.inf)
"""The default weight shifts of a rank trace: from -6 to 6 in steps of 0.5, and both infinities.

A rank trace lists the ranks of images at several image weights. A shift of 6 changes a weight of
0.5 to 0.9975, a shift of -6 to 0.0025.
"""

TRACE_LIMIT = 200
"""The highest rank number that a rank trace reports by default; larger ranks become None."""

Variant = Literal["picture", "words", "average", "learned"]
VARIANTS: tuple[Variant, ...] = ("picture", "words", "average", "learned")
"""The variants of a query, which differ only in the image weight.

"picture" uses the image part alone (weight 1), "words" the text part alone (weight 0), "average"
both parts with weight 0.5 in every stream, and "learned" the weights that the model computed. Each
part is computed from both the image and the text, so "picture" is not a search without text.
"""

# If a filter selects at most this number of images, their vectors are read without the index. This
# is as fast, and no image can be missing.
_FEW_SELECTED = 10_000
# If more than this share of the gallery is requested, for example the 100 best of 500 images, all
# vectors are read without the index.
_LARGE_SHARE = 1 / 10

_BLOCK_VALUES = 2**20  # values of gallery vectors (4 MB) that are multiplied at a time

_MIXED_AT_ONCE = 65_536  # scores that are computed at a time; 256 kB stay in the cache
_MAPPED_BYTES = 1 << 20  # arrays from this size on have memory of their own, see `_allocate`

# PyTorch warns about memory-mapped vectors that are read-only. Nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class WeightSweep:
    """The scores of n gallery images for one query, at any image weight.

    Without an approximate index, the constructor reads the gallery's vectors once, and stores two
    or three dot products for each image and stream. The methods need only these dot products; the
    model is not run again. With an approximate index, `top`, `hits`, `parts` and `split` read only
    the vectors of candidates, and the first other method that needs scores reads all vectors.

    In each stream, a query has an image part and a text part; the image weight determines how much
    each of them counts. Each part is computed from both the image and the text. The parameter
    `shift` of the methods is a number that is added to the logit of every stream's image weight: 0
    means the learned weights, infinity the image part alone, and minus infinity the text part
    alone.

    Attributes:
        ids: the ids of the n images, in the order of the vectors.
        excluded: positions of images that are never ranked, ascending.
        selected: whether each of the n images fits the query's filter and may be ranked (n,); None
            without a filter.
        build_ms: duration of the preparation in milliseconds: computing the dot products and, if
            `Searcher.sweep` made the object, finding copies of the reference.
    """

    def __init__(
        self,
        composed: ComposedQuery,
        vectors: Vectors,
        ids: Sequence[str],
        excluded: Iterable[int] = (),
        selected: NDArray[np.bool_] | None = None,
        index: CandidateIndex | None = None,
        condition: Filter | None = None,
        away: Collection[str] = (),
    ) -> None:
        """Compute the dot products of all gallery vectors with the query's parts.

        With an approximate index, they are computed later, and only if they are needed.

        Args:
            composed: one query (a batch of one), with the learned weights.
            vectors: gallery vectors (n, D), float32; the array may be a memory map. Each vector of
                length D concatenates the vectors of all streams.
            ids: the ids of the n images.
            excluded: positions of images that are never ranked.
            selected: whether each of the n images may be ranked; None if all may.
            index: an approximate index of the vectors; None for exact search.
            condition: the filter from which `selected` was computed; None without a filter.
            away: the ids of the images whose files were missing when the gallery was last indexed.

        Raises:
            ValueError: if `composed` is not a batch of one, or the shapes do not match.
        """
        start = time.perf_counter()
        self._streams = {
            name: stream.to(torch.float32) for name, stream in composed.streams.items()
        }
        self._part_products = {name: _part_products(s) for name, s in self._streams.items()}
        widths = {name: stream.embedding.shape for name, stream in self._streams.items()}
        if any(count != 1 for count, _ in widths.values()):
            raise ValueError(f"a sweep takes one query; the streams have {widths}.")
        self._image_weights = {name: float(s.image_weight) for name, s in self._streams.items()}
        total = sum(width for _, width in widths.values())
        if vectors.ndim != 2 or vectors.shape[1] != total or len(vectors) != len(ids):
            raise ValueError(
                f"the query has {total} dimensions; got vectors {vectors.shape} and {len(ids)} ids."
            )
        self.ids = ids
        self.excluded = tuple(sorted(set(excluded)))
        self.selected = selected
        self._condition = condition
        self._index = index
        self._away = away
        self._dots = _DotProducts(self._streams, vectors)
        if index is None:
            self._dots.of_all()
        self.build_ms = (time.perf_counter() - start) * 1e3

    def __len__(self) -> int:
        """Return the number of images that are not excluded and fit the filter, if there is one."""
        if self.selected is None:
            return len(self.ids) - len(self.excluded)
        excluded = np.count_nonzero(self.selected[list(self.excluded)])
        return int(np.count_nonzero(self.selected)) - int(excluded)

    def excluding(self, positions: Iterable[int]) -> "WeightSweep":
        """Return a copy of this object that excludes further images from the ranking.

        The copy shares the dot products with this object.

        Args:
            positions: the gallery positions of the images.
        """
        other = copy.copy(self)
        other.excluded = tuple(sorted({*self.excluded, *positions}))
        return other

    def best(self, scores: Vectors, k: int) -> NDArray[np.int64]:
        """Return the positions of the `k` images with the highest scores, best first.

        Images that are excluded or do not fit the filter are left out.

        Args:
            scores: scores (n,) of all n images; they need not be the scores for this query.
            k: number of images, 1 or more. If fewer are left, all of them are returned.
        """
        return best_positions(scores, _require_positive(k), self.excluded, self.selected)

    def rivals(self, scores: Vectors) -> Vectors:
        """Return the scores of all images that can be among the results, in gallery order.

        These are the images that are not excluded and, if there is a filter, fit the filter.

        Args:
            scores: the scores (n,) of all n images.
        """
        if self.selected is None:
            return np.delete(scores, list(self.excluded)) if self.excluded else scores
        ranked = self.selected.copy()
        ranked[list(self.excluded)] = False
        return scores[ranked]

    def scores(self, shift: float = 0.0) -> Vectors:
        """Return the scores (n,) of all n images, including excluded images.

        Args:
            shift: number added to the logit of every stream's image weight.

        Raises:
            QueryError: if the shift is NaN.
        """
        return self._mix(self._balances(shift), self._dots.of_all())

    def variant_scores(self, variant: Variant) -> Vectors | None:
        """Return the scores (n,) of all n images for a variant of the query.

        Args:
            variant: "picture" for the image part alone, "words" for the text part alone, "average"
                for both with weight 0.5, or "learned" for both with the learned weights.

        Returns:
            The scores. None for "picture" if the query has no image, for "words" if it has no text,
            and for "average" if it lacks either.
        """
        balances = self._variant(variant)
        return None if balances is None else self._mix(balances, self._dots.of_all())

    def variant_weights(self, variant: Variant) -> dict[str, Weight] | None:
        """Return the image and text weights in a variant of the query.

        Args:
            variant: "picture" for the image part alone, "words" for the text part alone, "average"
                for both with weight 0.5, or "learned" for both with the learned weights.

        Returns:
            The weights by the stream's name. None for "picture" if the query has no image, for
            "words" if it has no text, and for "average" if it lacks either.
        """
        balances = self._variant(variant)
        return None if balances is None else _weights(balances)

    def weights(self, shift: float = 0.0) -> dict[str, Weight]:
        """Return the image weight and the text weight of each stream, by the stream's name.

        Args:
            shift: number added to the logit of every stream's image weight.
        """
        return _weights(self._balances(shift))

    def parts(self, position: int, shift: float = 0.0) -> dict[str, float]:
        """Return the parts that sum to one image's score, by names such as `clip_image`; see `Hit`.

        Args:
            position: the image's position in the gallery.
            shift: number added to the logit of every stream's image weight.
        """
        return self.split([position], shift)[0]

    def split(self, positions: Sequence[int], shift: float = 0.0) -> list[dict[str, float]]:
        """Return the parts of the score of each of several images, by names such as `clip_image`.

        The sum of an image's parts is its score; see `Hit`.

        Args:
            positions: the images' positions in the gallery.
            shift: number added to the logit of every stream's image weight.
        """
        gallery_products = self._dots.of(list(positions))  # (2 or 3 per stream, K)
        parts: dict[str, list[float]] = {}
        row = 0
        for name, balance in self._balances(shift).items():
            coefficients = _coefficients(balance, self._part_products[name])  # (2 or 3,)
            products = gallery_products[row : row + len(coefficients)]  # (2 or 3, K)
            values = (coefficients[:, None] * products).tolist()
            parts[f"{name}_image"] = values[0]
            parts[f"{name}_text"] = values[1]
            if len(coefficients) > 2 and balance.has_joint:
                parts[f"{name}_joint"] = values[2]
            row += len(coefficients)
        return [{name: column[k] for name, column in parts.items()} for k in range(len(positions))]

    def top(self, shift: float, k: int) -> NDArray[np.int64]:
        """Return the positions of the best images in the gallery, best first.

        Args:
            shift: number added to the logit of every stream's image weight.
            k: number of images, 1 or more. If fewer are ranked, all of them are returned.
        """
        return self._rank_best(shift, k).positions

    def hits(self, shift: float, k: int, duplicates: NearDuplicates | None = None) -> list[Hit]:
        """Return the `k` best images as hits, best first.

        Args:
            shift: number added to the logit of every stream's image weight.
            k: number of hits, 1 or more.
            duplicates: the detector of near-duplicates. Near-duplicates are then hidden under the
                best image of their group, and images from further down the ranking replace them.
                None to hide nothing.
        """
        if duplicates is None:
            best = self._rank_best(shift, k)
            parts = self.split(best.positions.tolist(), shift)
            return build_hits(
                self.ids,
                best.positions,
                best.scores,
                parts,
                best.rivals,
                len(self),
                away=self._away,
            )
        ranking = _GrowingRanking(self, shift)
        groups = duplicates.fold(ranking.top, _require_positive(k))
        best = ranking.best
        scores = dict(zip(best.positions.tolist(), best.scores.tolist(), strict=True))
        positions = np.array(list(groups), dtype=np.int64)
        return build_hits(
            self.ids,
            positions,
            np.array([scores[position] for position in groups], dtype=np.float32),
            self.split(list(groups), shift),
            best.rivals,
            len(self),
            [[self.ids[position] for position in group] for group in groups.values()],
            self._away,
        )

    def _rank_best(self, shift: float, k: int) -> "_Best":
        """Return the `k` best images at a weight shift, and their scores.

        With an approximate index, usually only the images that it proposes are compared.

        Args:
            shift: number added to the logit of every stream's image weight.
            k: number of images, 1 or more. If fewer are ranked, all of them are returned.
        """
        k = min(_require_positive(k), len(self))
        if k == 0:
            none = np.empty(0, dtype=np.float32)
            return _Best(np.empty(0, dtype=np.int64), none, none)
        candidates = self._candidates(shift, k)
        if candidates is not None:
            ranked = without_positions(candidates, self.excluded)  # ascending
            if len(ranked) >= k:
                scores = self._mix(self._balances(shift), self._dots.of(ranked))
                order = best_positions(scores, k)
                return _Best(ranked[order], scores[order], scores)
        scores = self.scores(shift)
        positions = self.best(scores, k)
        ahead = np.flatnonzero(scores >= scores[positions[-1]])
        ahead = without_positions(ahead, self.excluded)
        if self.selected is not None:
            ahead = ahead[self.selected[ahead]]
        return _Best(positions, scores[positions], scores[ahead])

    def _candidates(self, shift: float, k: int) -> NDArray[np.int64] | None:
        """Return the positions (m,), ascending, of images that probably include the `k` best.

        Excluded images may be among them. The result is None if all vectors should be read, because
        there is no index or `k` is a large part of the gallery.
        """
        if self._index is None:
            return None
        if self.selected is not None and np.count_nonzero(self.selected) <= _FEW_SELECTED:
            return np.flatnonzero(self.selected)
        count = k + len(self.excluded)
        if count > _LARGE_SHARE * len(self.ids):
            return None
        streams = [stream.shifted(shift) for stream in self._streams.values()]
        query = torch.cat([stream.embedding[0] for stream in streams]).numpy()  # (D,)
        return np.unique(self._index.candidates(query, count, self.selected, self._condition))

    def rank(self, scores: Vectors, position: int) -> int:
        """Return the rank of an image, from 1, when the gallery is ordered by the given scores.

        If images have equal scores, the image with the lower position is ranked first.

        Args:
            scores: the scores (n,) of all images.
            position: the image's position.
        """
        own = scores[position]
        ahead = scores > own
        ahead[:position] |= scores[:position] == own
        ahead[list(self.excluded)] = False
        if self.selected is not None:
            ahead &= self.selected
        return 1 + int(np.count_nonzero(ahead))

    def position(self, id: str) -> int:
        """Return the position in the gallery of the image with this id.

        Raises:
            QueryError: if the id is not in the gallery, or the image is excluded or does not fit
                the filter.
        """
        try:
            position = self.ids.index(match_id(id, self.ids) or id)
        except ValueError:
            raise QueryError(
                f"the gallery has no picture {quote(id)} among its {len(self.ids):,}. "
                "Take one it found."
            ) from None
        if position in self.excluded:
            raise QueryError(
                f"{id!r} is the reference itself and is not ranked. Take another picture."
            )
        if self.selected is not None and not self.selected[position]:
            raise QueryError(f"{id!r} does not fit the filter. Take a picture that fits it.")
        return position

    def rank_trace(
        self, shifts: Iterable[float] = TRACE_SHIFTS, k: int = 10, limit: int = TRACE_LIMIT
    ) -> RankTrace:
        """Rank the images at several weight shifts, and return the ranks of the best images.

        All images are ranked exactly, even if there is an approximate index. Their dot products are
        computed once for all shifts.

        Args:
            shifts: the weight shifts. A shift is added to the logit of each stream's image weight.
                Minus infinity (text only), 0 (the learned weights) and infinity (image only) are
                always included.
            k: number of best images at each shift that the result contains, 1 or more.
            limit: the greatest rank that the result contains, `k` or more.

        Returns:
            The sorted shifts, and the ranks at each shift of every image that is among the `k` best
            at any shift; None instead of ranks above `limit`.

        Raises:
            QueryError: if a shift is NaN, or `k` or `limit` is out of range.
        """
        if limit < _require_positive(k):
            raise QueryError(f"the limit is {limit}; it is the last rank reported, {k} or more.")
        steps = sorted({-math.inf, 0.0, math.inf, *shifts})
        balances = [self._balances(shift) for shift in steps]
        products = self._dots.of_all()
        orders = [self.best(self._mix(b, products), limit).tolist() for b in balances]
        learned = steps.index(0.0)
        # The order of the images: first the best images at shift 0, then the images that are among
        # the best only at other shifts, in ascending order of the shifts.
        in_order = dict.fromkeys(orders[learned])
        followed = {position for order in orders for position in order[:k]}
        in_order.update(dict.fromkeys(position for order in orders for position in order[:k]))
        ranks = [
            {position: rank for rank, position in enumerate(order, start=1)} for order in orders
        ]
        items = [
            TracedItem(self.ids[position], [at_step.get(position) for at_step in ranks])
            for position in in_order
            if position in followed
        ]
        image_weights = [{name: b.image for name, b in at_step.items()} for at_step in balances]
        return RankTrace(steps, learned, image_weights, items, limit)

    def _balances(self, shift: float) -> dict[str, "_Balance"]:
        if math.isnan(shift):
            raise QueryError(
                "the shift is not a number. Give 0 for the learned weight, or inf or -inf."
            )
        has_joint = not math.isinf(shift)
        return {
            name: _Balance(shift_one_weight(weight, shift), has_joint)
            for name, weight in self._image_weights.items()
        }

    def _variant(self, variant: Variant) -> dict[str, "_Balance"] | None:
        weights = self._image_weights.values()
        has_image = any(weight != 0 for weight in weights)
        has_text = any(weight != 1 for weight in weights)
        if variant == "learned":
            return self._balances(0.0)
        if variant == "picture":
            return self._balances(math.inf) if has_image else None
        if variant == "words":
            return self._balances(-math.inf) if has_text else None
        if not (has_image and has_text):
            return None
        return dict.fromkeys(self._streams, _Balance(0.5, has_joint=True))

    def _mix(self, balances: Mapping[str, "_Balance"], products: Vectors) -> Vectors:
        """Return the scores (m,) of m images, given their dot products with the query's parts.

        Args:
            balances: the weights of the parts in each stream, by the stream's name.
            products: the dot products (P, m); P is the number of the query's parts in all streams.
        """
        coefficients = np.concatenate(
            [
                _coefficients(balance, self._part_products[name])
                for name, balance in balances.items()
            ]
        )
        count = products.shape[1]
        if count <= _MIXED_AT_ONCE:
            return _weighted_sum(coefficients, products)
        scores = np.empty(count, dtype=np.float32)
        for start in range(0, count, _MIXED_AT_ONCE):
            block = slice(start, start + _MIXED_AT_ONCE)
            scores[block] = _weighted_sum(coefficients, products[:, block])
        return scores


def _weighted_sum(coefficients: Vectors, rows: Vectors) -> Vectors:
    """Return the sum (m,) of P rows (P, m), each multiplied by a coefficient (P,).

    The rows are added one by one, so that images with equal products have equal scores. A matrix
    product may round equal columns differently.
    """
    total = coefficients[0] * rows[0]
    for coefficient, row in zip(coefficients[1:], rows[1:], strict=True):
        total += coefficient * row
    return total


class _Balance(NamedTuple):
    """The weights of a query's parts in one stream.

    Attributes:
        image: the image weight, in [0, 1]; the text weight is 1 - image.
        has_joint: whether the stream's joint part, if it has one, is added. It is not added if the
            weight shift is infinite, since the score then uses only the image part or only the
            text part.
    """

    image: float
    has_joint: bool


class _Best(NamedTuple):
    """The best images at one weight shift: a number added to the logit of each image weight.

    Attributes:
        positions: the gallery positions (K,) of the K best images, best first.
        scores: the scores (K,) of these images.
        rivals: the scores (m,) of m images, in any order. They include the score of each image that
            is not excluded, fits the filter, and scores at least as high as the last of the K
            images. With an approximate index, usually only images that the index proposes are
            considered.
    """

    positions: NDArray[np.int64]
    scores: Vectors
    rivals: Vectors


class _GrowingRanking:
    """The ranking of images at one weight shift, computed only as far as it is requested.

    A weight shift is a number that is added to the logit of every stream's image weight.

    Attributes:
        best: the images that the last call of `top` returned, with their scores.
    """

    best: _Best

    def __init__(self, sweep: WeightSweep, shift: float) -> None:
        self._sweep, self._shift = sweep, shift

    def top(self, count: int) -> NDArray[np.int64]:
        """Return the positions of the `count` best images; set the attribute `best` to them."""
        self.best = self._sweep._rank_best(self._shift, count)
        return self.best.positions


class _DotProducts:
    """The dot products of gallery vectors with the parts of a query; thread-safe."""

    def __init__(self, streams: Mapping[str, Composition], vectors: Vectors) -> None:
        self._streams, self._vectors = streams, vectors
        self._all: Vectors | None = None
        self._lock = threading.Lock()

    def of_all(self) -> Vectors:
        """Return the dot products (P, n) of the query's P parts with all n gallery vectors.

        They are computed once and then stored.
        """
        with self._lock:
            if self._all is None:
                self._all = _gallery_products(self._streams, self._vectors)
            return self._all

    def of(self, positions: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """Return the dot products (P, m) of the query's P parts with m gallery vectors.

        Args:
            positions: the gallery positions (m,) of the vectors.
        """
        if self._all is not None:
            return self._all[:, positions]
        vectors = self._vectors.view(np.ndarray)  # indexing a memory map is slow
        return _gallery_products(self._streams, vectors[positions])


def _gallery_products(streams: Mapping[str, Composition], vectors: Vectors) -> Vectors:
    """Return the dot products (P, n) of n gallery vectors with the P parts of a query.

    In each stream, the query has an image part, a text part and, for some combiners, a joint part;
    P is the number of parts in all streams together.

    All P dot products of a vector are computed together, so that the vectors are read from memory
    only once. For this, each part is padded with zeros in the dimensions of the other streams. The
    padding costs less than reading the vectors a second time. The vectors are the left factor of
    the matrix product, in blocks of about 4 MB; several threads share the blocks.

    For 100,000 vectors of 512 numbers and four parts, this takes as long as only summing all these
    numbers, with two threads. With the vectors as the right factor, it takes 1.7 times as long.
    Equal vectors have equal dot products if D is a multiple of 8; otherwise, rounding may differ.

    Args:
        streams: the query (a batch of one) in each stream.
        vectors: gallery vectors (n, D), each the concatenation of the streams' vectors.
    """
    padded = []
    start = 0
    for stream in streams.values():
        width = stream.embedding.shape[-1]
        padding = (start, vectors.shape[1] - start - width)
        padded += [torch.nn.functional.pad(part, padding) for part in _parts(stream)]
        start += width
    parts = torch.cat(padded)  # (P, D)
    gallery = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    products = torch.from_numpy(_allocate((len(parts), len(gallery))))
    block = max(1, _BLOCK_VALUES // gallery.shape[1])

    @torch.inference_mode()
    def multiply(start: int, stop: int) -> None:
        for first in range(start, stop, block):
            rows = slice(first, min(first + block, stop))
            products[:, rows] = (gallery[rows] @ parts.T).T

    if len(gallery) <= block:
        multiply(0, len(gallery))
    else:
        threads = _threads()
        share = -(-len(gallery) // threads.number)
        starts = range(0, len(gallery), share)
        list(threads.pool.map(multiply, starts, [min(s + share, len(gallery)) for s in starts]))
    return products.numpy()


def _allocate(shape: tuple[int, int]) -> Vectors:
    """Return a new float32 array that gives its memory back to the system when it is freed.

    Usually the C library keeps the memory of a freed array and reuses it for later arrays. So a
    process that searches a million images would take up to 32 MB more. Arrays below 1 MB are still
    allocated by the C library.
    """
    size = 4 * shape[0] * shape[1]
    if size < _MAPPED_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.empty(shape, dtype=np.float32)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return np.frombuffer(mmap.mmap(-1, size, flags), dtype=np.float32).reshape(shape)


class _Threads(NamedTuple):
    """A pool of threads that compute dot products, and the number of its threads."""

    pool: ThreadPoolExecutor
    number: int


@cache
def _threads() -> _Threads:
    """Create a pool with as many threads as torch uses for one operation.

    In each thread of the pool, torch uses a single thread. The threads of the pool work on separate
    blocks, so that they wait for each other only at the end of a search. Torch's threads would wait
    for each other after every block.
    """
    number = torch.get_num_threads()
    return _Threads(ThreadPoolExecutor(number, "dot-products", set_torch_threads, (1,)), number)


def _parts(stream: Composition) -> list[torch.Tensor]:
    """Return a query's image part, text part and, if there is one, joint part, each (1, D)."""
    parts = [stream.image_part, stream.text_part]
    return parts if stream.joint_part is None else [*parts, stream.joint_part]


def _weights(balances: Mapping[str, _Balance]) -> dict[str, Weight]:
    return {
        name: Weight(image=balance.image, text=1.0 - balance.image)
        for name, balance in balances.items()
    }


def _part_products(stream: Composition) -> NDArray[np.float64]:
    """Return the dot products of all pairs of a query's parts in one stream (a Gram matrix).

    The matrix is (2, 2) for image part and text part, or (3, 3) if the combiner adds a joint part.
    """
    vectors = torch.cat(_parts(stream)).numpy().astype(np.float64)
    return vectors @ vectors.T  # not by torch, whose threads take milliseconds to wake up


def _coefficients(balance: _Balance, part_products: NDArray[np.float64]) -> Vectors:
    """Return the factors (2,) or (3,) of a stream's dot products in the score of an image.

    The dot products are those of a gallery vector with the query's image part, text part and, for
    some combiners, joint part. Their sum, weighted by the factors, is the cosine of the gallery
    vector with the query. The factor of a part is its weight, divided by the length of the weighted
    sum of all parts.

    Args:
        balance: the weights of the parts.
        part_products: the dot products of all pairs of the query's parts, (2, 2) or (3, 3).
    """
    weights = [balance.image, 1 - balance.image]
    if len(part_products) > 2:
        weights.append(float(balance.has_joint))
    factors = np.array(weights)
    length = math.sqrt(max(float(factors @ part_products @ factors), 0.0))
    return (factors / max(length, 1e-12)).astype(np.float32)


def _require_positive(k: int) -> int:
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    return k


_MAX_LOGIT = 30.0  # in float64, the weights at logits 30 and -30 still differ from 1 and 0
_BISECTIONS = 60


def shift_for_weight(sweep: WeightSweep, position: float) -> float:
    """Return the weight shift at which the mean of the streams' image weights has a given value.

    A weight shift is a number that is added to the logit of every stream's image weight.

    Args:
        sweep: the query's scores.
        position: the requested mean of the streams' image weights, in [0, 1].

    Returns:
        The weight shift: minus infinity for position 0, infinity for position 1. It is 0 for a
        query without image or without text, whose weights are always exactly 0 or 1.

    Raises:
        QueryError: if the position is outside [0, 1].
    """
    if not 0 <= position <= 1:
        raise QueryError(
            f"the position is {position}; it is a mean image weight, from 0 (only the words) to 1 "
            "(only the picture)."
        )
    images = [weight.image for weight in sweep.weights().values()]
    if not any(0 < image < 1 for image in images):
        return 0.0
    if position in (0, 1):
        return math.copysign(math.inf, position - 0.5)
    low, high = -_MAX_LOGIT, _MAX_LOGIT
    logits = [math.log(w / (1 - w)) for w in (min(max(i, 1e-12), 1 - 1e-12) for i in images)]
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        mean = sum(1 / (1 + math.exp(-(logit + middle))) for logit in logits) / len(logits)
        low, high = (middle, high) if mean < position else (low, middle)
    return (low + high) / 2
