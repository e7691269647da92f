"""Rank a gallery for one query at any shift of its weights, after one pass over the vectors.

A stream's embedding at weight w is norm(w i + (1-w) t [+ j]), so its cosine with a gallery vector g
is a weighted sum of the products g·i, g·t [and g·j]. The products are computed once. After that the
scores at a shift cost one pass over two or three numbers for each image and stream.
"""

import copy
import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dwc.errors import QueryError
from dwc.gallery.exact_search import Vectors, best_positions
from dwc.modeling.composition import ComposedQuery, Composition
from dwc.search.near_duplicates import NearDuplicates
from dwc.search.results import Hit, RankTrace, TracedItem, Weight, build_hits

TRACE_SHIFTS = (-math.inf, *(step / 2 for step in range(-12, 13)), math.inf)
"""The default shifts of a trace: at a logit of 6 a weight is within 0.25 % of 0 or 1."""

TRACE_LIMIT = 200
"""The last rank that a trace reports by default."""

Variant = Literal["picture", "words", "average", "learned"]
VARIANTS: tuple[Variant, ...] = ("picture", "words", "average", "learned")
"""Ways to mix a query: one part alone, the plain mean (every weight 0.5), the learned weights.

The parts are the edited features: an editor has already mixed the text into the image part.
"""

# Vectors are mapped read-only, and nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class WeightSweep:
    """The scores of one query over a gallery of n images, at every shift.

    The vectors are read once, in the constructor. Two or three products for each image and stream
    are kept.

    Attributes:
        ids: the images' ids (n), in the order of the vectors.
        excluded: positions that are never ranked, ascending.
        build_ms: how long reading the vectors took.
    """

    def __init__(
        self,
        composed: ComposedQuery,
        vectors: Vectors,
        ids: Sequence[str],
        excluded: Iterable[int] = (),
    ) -> None:
        """Multiply the gallery with the query's parts.

        Args:
            composed: one query (N is 1), not shifted.
            vectors: (n, D) float32, the streams side by side; may be a memory map.
            ids: n ids.
            excluded: positions that are never ranked.

        Raises:
            ValueError: for several queries, or a gallery of other dimensions.
        """
        start = time.perf_counter()
        self._streams = {
            name: stream.to(torch.float32) for name, stream in composed.streams.items()
        }
        widths = {name: stream.embedding.shape for name, stream in self._streams.items()}
        if any(count != 1 for count, _ in widths.values()):
            raise ValueError(f"a sweep takes one query; the streams have {widths}.")
        total = sum(width for _, width in widths.values())
        if vectors.ndim != 2 or vectors.shape[1] != total or len(vectors) != len(ids):
            raise ValueError(
                f"the query has {total} dimensions; got vectors {vectors.shape} and {len(ids)} ids."
            )
        self.ids = ids
        self.excluded = tuple(sorted(set(excluded)))
        self._products = _gallery_products(self._streams, vectors)  # (2 or 3 a stream, n)
        self.build_ms = (time.perf_counter() - start) * 1e3

    def __len__(self) -> int:
        """The number of ranked images: all but the excluded."""
        return len(self.ids) - len(self.excluded)

    def excluding(self, positions: Iterable[int]) -> "WeightSweep":
        """The same sweep with more positions excluded; the products are shared."""
        other = copy.copy(self)
        other.excluded = tuple(sorted({*self.excluded, *positions}))
        return other

    def scores(self, shift: float = 0.0) -> Vectors:
        """The scores (n,) at a shift, those of excluded images too; `QueryError` for NaN."""
        return self._mix(self._shifted(shift))

    def variant_scores(self, variant: Variant) -> Vectors | None:
        """The scores (n,) of a variant of the query.

        Returns:
            None for a modality that the query lacks, and for "average" unless it has both.
        """
        queries = self._variant(variant)
        return None if queries is None else self._mix(queries)

    def variant_weights(self, variant: Variant) -> dict[str, Weight] | None:
        """The weights of a variant, by stream; None where `variant_scores` is None."""
        queries = self._variant(variant)
        return None if queries is None else _weights(queries)

    def weights(self, shift: float = 0.0) -> dict[str, Weight]:
        """The weights at a shift, by stream."""
        return _weights(self._shifted(shift))

    def parts(self, position: int, shift: float = 0.0) -> dict[str, float]:
        """The parts of one image's score, named as in `Hit.parts`; they add up to the score."""
        return self.split([position], shift)[0]

    def split(self, positions: Sequence[int], shift: float = 0.0) -> list[dict[str, float]]:
        """The parts of several images' scores, each as `parts` returns them."""
        columns = list(positions)
        parts: dict[str, list[float]] = {}
        row = 0
        for name, stream in self._shifted(shift).items():
            had_joint = self._streams[name].joint_part is not None
            coefficients = _coefficients(stream, had_joint)  # (2 or 3,)
            products = self._products[row : row + len(coefficients), columns]  # (2 or 3, K)
            values = (coefficients[:, None] * products).tolist()
            parts[f"{name}_image"] = values[0]
            parts[f"{name}_text"] = values[1]
            if stream.joint_part is not None:
                parts[f"{name}_joint"] = values[2]
            row += len(coefficients)
        return [{name: column[k] for name, column in parts.items()} for k in range(len(columns))]

    def top(self, shift: float, k: int) -> NDArray[np.int64]:
        """The positions of the `k` (1 or more) best at a shift, best first; fewer if there are."""
        return best_positions(self.scores(shift), _require_positive(k), self.excluded)

    def hits(self, shift: float, k: int, duplicates: NearDuplicates | None = None) -> list[Hit]:
        """The `k` best at a shift, as `Searcher.search` returns them, without running the model.

        Args:
            duplicates: fold near-duplicates under the best of each group, and fill the list up with
                what ranks next. By default nothing is folded.
        """
        scores = self.scores(shift)
        copies: list[list[str]] | None = None
        if duplicates is None:
            positions = best_positions(scores, _require_positive(k), self.excluded)
        else:
            groups = duplicates.fold(
                lambda count: best_positions(scores, count, self.excluded), _require_positive(k)
            )
            positions = np.array(list(groups), dtype=np.int64)
            copies = [[self.ids[position] for position in group] for group in groups.values()]
        parts = self.split(positions.tolist(), shift)
        return build_hits(self.ids, scores, positions, parts, self.excluded, copies)

    def rank(self, scores: Vectors, position: int) -> int:
        """An image's rank (from 1) by some scores (n,); the lower position wins a tie."""
        own = scores[position]
        ahead = scores > own
        ahead[:position] |= scores[:position] == own
        ahead[list(self.excluded)] = False
        return 1 + int(np.count_nonzero(ahead))

    def position(self, id: str) -> int:
        """The position of a ranked image.

        Raises:
            QueryError: for an id that the gallery lacks, or that is excluded.
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
        """Trace the ranks of everything that is among the `k` best at any of the shifts.

        Args:
            shifts: minus infinity, 0 and infinity are added.
            k: 1 or more.
            limit: the last rank that is reported, `k` or more.

        Raises:
            QueryError: for a shift that is NaN, and for a `k` or `limit` out of range.
        """
        if limit < _require_positive(k):
            raise QueryError(f"the limit is {limit}; it is the last rank reported, {k} or more.")
        steps = sorted({-math.inf, 0.0, math.inf, *shifts})
        orders = [self.top(shift, limit).tolist() for shift in steps]
        learned = steps.index(0.0)
        # In the learned order first, then what each step adds, from words alone to picture alone.
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

    def _shifted(self, shift: float) -> dict[str, Composition]:
        if math.isnan(shift):
            raise QueryError(
                "the shift is not a number. Give 0 for the learned weight, or inf or -inf."
            )
        return {name: stream.shifted(shift) for name, stream in self._streams.items()}

    def _variant(self, variant: Variant) -> dict[str, Composition] | None:
        weights = [float(stream.image_weight) for stream in self._streams.values()]
        has_image = any(weight != 0 for weight in weights)
        has_text = any(weight != 1 for weight in weights)
        if variant == "learned":
            return self._shifted(0.0)
        if variant == "picture":
            return self._shifted(math.inf) if has_image else None
        if variant == "words":
            return self._shifted(-math.inf) if has_text else None
        if not (has_image and has_text):
            return None
        return {name: _averaged(stream) for name, stream in self._streams.items()}

    def _mix(self, queries: Mapping[str, Composition]) -> Vectors:
        coefficients = np.concatenate(
            [
                _coefficients(query, self._streams[name].joint_part is not None)
                for name, query in queries.items()
            ]
        )
        # Element by element: a matrix product may round equal columns differently, and break ties.
        total = coefficients[0] * self._products[0]
        for coefficient, products in zip(coefficients[1:], self._products[1:], strict=True):
            total += coefficient * products
        return total  # (n,)


def _gallery_products(streams: Mapping[str, Composition], vectors: Vectors) -> Vectors:
    """The gallery (n, D) times every part of every stream -> (P, n), in one pass.

    A part is extended by zeros over the other streams' dimensions, which costs less than a second
    pass over the vectors. PyTorch's product takes twice as long as a bare sum over 100,000 x 512,
    NumPy's for so few columns four times as long and more.
    """
    columns = []
    start = 0
    for stream in streams.values():
        parts = [stream.image_part, stream.text_part]
        if stream.joint_part is not None:
            parts.append(stream.joint_part)
        width = stream.embedding.shape[-1]
        padding = (start, vectors.shape[1] - start - width)
        columns += [torch.nn.functional.pad(part, padding) for part in parts]
        start += width
    gallery = torch.from_numpy(np.asarray(vectors, dtype=np.float32))
    with torch.inference_mode():
        return (gallery @ torch.cat(columns).T).T.contiguous().numpy()


def _weights(queries: Mapping[str, Composition]) -> dict[str, Weight]:
    images = {name: float(query.image_weight) for name, query in queries.items()}
    return {name: Weight(image=image, text=1.0 - image) for name, image in images.items()}


def _averaged(stream: Composition) -> Composition:
    half = stream.image_weight.new_full(stream.image_weight.shape, 0.5)
    return Composition.mix(stream.image_part, stream.text_part, half, stream.joint_part)


def _coefficients(query: Composition, has_joint_row: bool) -> Vectors:
    """The factor of each part's product in the cosine: its weight over the length of the mix."""
    mixed = query.image_weight * query.image_part + (1 - query.image_weight) * query.text_part
    if query.joint_part is not None:
        mixed = mixed + query.joint_part
    length = max(float(mixed.norm()), 1e-12)
    weight = float(query.image_weight)
    factors = [weight, 1 - weight]
    if has_joint_row:
        factors.append(0.0 if query.joint_part is None else 1.0)  # no joint part at the two ends
    return (np.array(factors) / length).astype(np.float32)


def _require_positive(k: int) -> int:
    if k < 1:
        raise QueryError(f"k is {k}; it is the number of results, 1 or more.")
    return k


_MAX_LOGIT = 30.0  # float64 still tells such a weight from 0 and 1
_BISECTIONS = 60


def shift_for_weight(sweep: WeightSweep, position: float) -> float:
    """Find the shift at which the mean of the streams' image weights has a given value.

    Args:
        position: the mean image weight, in [0, 1]; 0 and 1 give minus infinity and infinity.

    Returns:
        The shift; 0 for a query without image or without text, whose weights do not move.

    Raises:
        QueryError: for a position outside [0, 1].
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
