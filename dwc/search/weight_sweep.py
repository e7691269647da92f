"""What if the weight moved: all scores at any shift, without asking the model again.

A stream's embedding at weight w is norm(w i + (1-w) t [+ j]), so its cosine with a gallery vector g
is a mix of the numbers g·i, g·t [and g·j]. These are computed once; after that a shift costs one
short pass over two or three numbers a picture and stream, whatever the embeddings' length.

A question leaned to the picture or to the words: where to, and what is found there.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.gallery.exact_search import Vectors, best_positions
from dwc.modeling.composition import ComposedQuery, Composition
from dwc.search.results import Hit, RankTrace, TracedItem, Weight, build_hits

TRACE_SHIFTS = (-math.inf, *(step / 2 for step in range(-12, 13)), math.inf)
"""The default steps of a trace: at a logit of 6 a weight is within a quarter percent of its end."""

TRACE_LIMIT = 200
"""How far down a trace follows an item, unless told."""

Variant = Literal["picture", "words", "average", "learned"]
VARIANTS: tuple[Variant, ...] = ("picture", "words", "average", "learned")
"""How a query may be read: by one of its parts, by their plain mean (every weight 0.5), as learned.

The parts are the edited ones: even "picture" has been looked at in the light of the words.
"""


class WeightSweep:
    """One query over one gallery of n pictures, at every weight.

    Its scores are those of a search at the same shift, but for rounding (about 1e-6), and so are
    its ranks but for near ties. It reads the gallery when it is made, and keeps nothing of it but
    the products (two or three numbers a picture and stream).
    """

    def __init__(
        self,
        composed: ComposedQuery,
        vectors: Vectors,
        ids: Sequence[str],
        excluded: Iterable[int] = (),
    ) -> None:
        """One query, unshifted; vectors (n, D), streams side by side; ids (n) in their order.

        `excluded` are the positions that are never ranked. Raises ValueError for more queries than
        one, and for a gallery of other dimensions.
        """
        self._streams = {
            name: stream.to(torch.float32) for name, stream in composed.streams.items()
        }
        widths = {name: stream.embedding.shape for name, stream in self._streams.items()}
        if any(count != 1 for count, _ in widths.values()):
            raise ValueError(f"a sweep is of one query; the streams have {widths}.")
        total = sum(width for _, width in widths.values())
        if vectors.ndim != 2 or vectors.shape[1] != total or len(vectors) != len(ids):
            raise ValueError(
                f"the query has {total} dimensions; got vectors {vectors.shape} and {len(ids)} ids."
            )
        self.ids = ids
        self.excluded = tuple(sorted(set(excluded)))
        products = []
        start = 0
        for name, (_, width) in widths.items():
            products.append(_products(self._streams[name], vectors[:, start : start + width]))
            start += width
        self._products = np.concatenate(products)  # (2 or 3 a stream, n)

    def __len__(self) -> int:
        """How many pictures are ranked: all but the excluded."""
        return len(self.ids) - len(self.excluded)

    def scores(self, shift: float = 0.0) -> Vectors:
        """The scores (n,) at a shift; the excluded have theirs, too. QueryError for NaN."""
        return self._mix(self._at(shift))

    def variant_scores(self, reading: Variant) -> Vectors | None:
        """The scores (n,) of another reading of the query; None where it has nothing to read.

        A query without picture has no "picture", and no "average" either; the same for words.
        """
        queries = self._variant(reading)
        return None if queries is None else self._mix(queries)

    def variant_weights(self, reading: Variant) -> dict[str, Weight] | None:
        """Every stream's weights in another reading; None where `read_as` is."""
        queries = self._variant(reading)
        return None if queries is None else _weights(queries)

    def weights(self, shift: float = 0.0) -> dict[str, Weight]:
        """Every stream's weights at a shift."""
        return _weights(self._at(shift))

    def parts(self, position: int, shift: float = 0.0) -> dict[str, float]:
        """One picture's score in its parts, named as in `Hit.parts`; they add up to the score."""
        return self.split([position], shift)[0]

    def split(self, positions: Sequence[int], shift: float = 0.0) -> list[dict[str, float]]:
        """Several pictures' scores in their parts, each as `parts` gives it."""
        places = list(positions)
        parts: dict[str, list[float]] = {}
        row = 0
        for name, stream in self._at(shift).items():
            had_joint = self._streams[name].joint_part is not None
            coefficients = _coefficients(stream, had_joint)  # (2 or 3,)
            rows = self._products[row : row + len(coefficients), places]  # (2 or 3, K)
            values = (coefficients[:, None] * rows).tolist()
            parts[f"{name}_image"] = values[0]
            parts[f"{name}_text"] = values[1]
            if stream.joint_part is not None:
                parts[f"{name}_joint"] = values[2]
            row += len(coefficients)
        return [{name: column[k] for name, column in parts.items()} for k in range(len(places))]

    def top(self, shift: float, k: int) -> NDArray[np.int64]:
        """The positions of the `k` (1 or more) best at a shift, best first, or all there are."""
        return best_positions(self.scores(shift), _at_least_one(k), self.excluded)

    def hits(self, shift: float, k: int) -> list[Hit]:
        """The `k` best at a shift, as `Searcher.search` gives them, without running the model."""
        positions = self.top(shift, k)
        parts = self.split(positions.tolist(), shift)
        return build_hits(self.ids, self.scores(shift), positions, parts, self.excluded)

    def rank(self, scores: Vectors, position: int) -> int:
        """Where a picture stands by some scores (n,), from 1; ties go to the lower position."""
        own = scores[position]
        ahead = scores > own
        ahead[:position] |= scores[:position] == own
        ahead[list(self.excluded)] = False
        return 1 + int(np.count_nonzero(ahead))

    def position(self, id: str) -> int:
        """Where a ranked picture stands in the gallery.

        Raises QueryError for an id that the gallery has not, or that is left out of the ranking.
        """
        try:
            position = self.ids.index(id)
        except ValueError:
            raise QueryError(
                f"the gallery has no picture {id!r} among its {len(self.ids):,}. Take one it found."
            ) from None
        if position in self.excluded:
            raise QueryError(
                f"{id!r} is the reference itself and is not ranked. Take another picture."
            )
        return position

    def rank_trace(
        self, shifts: Iterable[float] = TRACE_SHIFTS, k: int = 10, limit: int = TRACE_LIMIT
    ) -> RankTrace:
        """Follow everything that is among the `k` best at one of the shifts, over all of them.

        Both ends and the learned point are always among the shifts. `limit` (at least `k`) is the
        last rank told. Raises QueryError for a shift that is not a number, and for numbers of
        results that are none.
        """
        if limit < _at_least_one(k):
            raise QueryError(f"the limit is {limit}; it is the last rank told, {k} or more.")
        steps = sorted({-math.inf, 0.0, math.inf, *shifts})
        orders = [self.top(shift, limit).tolist() for shift in steps]
        learned = steps.index(0.0)
        # The learned order first, then what each step adds, from the words' end to the picture's.
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
        image_weights = [
            {name: weight.image for name, weight in self.weights(shift).items()} for shift in steps
        ]
        return RankTrace(steps, learned, image_weights, items, limit)

    def _at(self, shift: float) -> dict[str, Composition]:
        if math.isnan(shift):
            raise QueryError(
                "the shift is not a number. Give 0 for the learned weight, or inf or -inf."
            )
        return {name: stream.shifted(shift) for name, stream in self._streams.items()}

    def _variant(self, reading: Variant) -> dict[str, Composition] | None:
        weights = [float(stream.image_weight) for stream in self._streams.values()]
        has_picture = any(weight != 0 for weight in weights)
        has_words = any(weight != 1 for weight in weights)
        if reading == "learned":
            return self._at(0.0)
        if reading == "picture":
            return self._at(math.inf) if has_picture else None
        if reading == "words":
            return self._at(-math.inf) if has_words else None
        if not (has_picture and has_words):
            return None
        return {name: _averaged(stream) for name, stream in self._streams.items()}

    def _mix(self, queries: Mapping[str, Composition]) -> Vectors:
        coefficients = [
            _coefficients(query, self._streams[name].joint_part is not None)
            for name, query in queries.items()
        ]
        return np.concatenate(coefficients) @ self._products  # (n,)


def _products(stream: Composition, vectors: Vectors) -> Vectors:
    """A stream's gallery vectors (n, D) with its query's parts -> (2 or 3, n)."""
    parts = [stream.image_part, stream.text_part]
    if stream.joint_part is not None:
        parts.append(stream.joint_part)
    rows = np.concatenate([part.numpy() for part in parts])  # (P, D)
    return np.ascontiguousarray((vectors @ rows.T).T)


def _weights(queries: Mapping[str, Composition]) -> dict[str, Weight]:
    images = {name: float(query.image_weight) for name, query in queries.items()}
    return {name: Weight(image=image, text=1.0 - image) for name, image in images.items()}


def _averaged(stream: Composition) -> Composition:
    half = stream.image_weight.new_full(stream.image_weight.shape, 0.5)
    return Composition.mix(stream.image_part, stream.text_part, half, stream.joint_part)


def _coefficients(query: Composition, has_joint_row: bool) -> Vectors:
    """What each part's product counts in the cosine: its weight, over the length of the mix."""
    mixed = query.image_weight * query.image_part + (1 - query.image_weight) * query.text_part
    if query.joint_part is not None:
        mixed = mixed + query.joint_part
    length = max(float(mixed.norm()), 1e-12)
    weight = float(query.image_weight)
    counts = [weight, 1 - weight]
    if has_joint_row:
        counts.append(0.0 if query.joint_part is None else 1.0)  # left out at the two ends
    return (np.array(counts) / length).astype(np.float32)


def _at_least_one(k: int) -> int:
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    return k


_MOST = 30.0  # a logit at which float64 still tells a weight from 0 and 1
_HALVINGS = 60


def shift_for_weight(sweep: WeightSweep, position: float) -> float:
    """The shift at which the mean of the streams' image weights is `position`, in [0, 1].

    0 and 1 are the two ends, minus infinity and infinity. A query without picture, or without
    words, has nothing to lean to: 0 for every position. Raises QueryError for a position outside.
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
    low, high = -_MOST, _MOST
    logits = [math.log(w / (1 - w)) for w in (min(max(i, 1e-12), 1 - 1e-12) for i in images)]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = sum(1 / (1 + math.exp(-(logit + middle))) for logit in logits) / len(logits)
        low, high = (middle, high) if mean < position else (low, middle)
    return (low + high) / 2
