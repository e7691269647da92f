"""Interface of approximate indexes of a gallery.

An approximate index proposes candidates for a query vector without reading all vectors of the
gallery. The candidates' scores are then computed exactly from their vectors, by the same code as
without an index (`dwc.search.weight_sweep`). So scores, their parts and the order of results are
exact; only an image that the index does not propose can be missing.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dwc.gallery.exact_search import Vectors
from dwc.gallery.filters import Filter


class CandidateIndex(Protocol):
    """An approximate index of one gallery; several threads may use it at once.

    Attributes:
        name: the name of the index in messages and in JSON, such as "faiss".
        recall: the share of the 50 best images, in [0, 1], that the index proposed on average when
            it was measured on this gallery; None if that is unknown.
    """

    name: str
    recall: float | None

    def candidates(
        self,
        query: Vectors,
        k: int,
        selected: NDArray[np.bool_] | None = None,
        condition: Filter | None = None,
    ) -> NDArray[np.int64]:
        """Return the positions of images that probably include the `k` best for a query vector.

        Args:
            query: the query vector (D,). An image's score is the dot product of its vector with
                this one.
            k: number of best images that are needed, 1 or more. More candidates than that are
                usually returned, since not all of them are among the best.
            selected: whether each of the n images may be returned; None if all may.
            condition: the filter from which `selected` was computed; None without a filter. An
                index that filters by metadata itself may use it instead of `selected`.

        Returns:
            Different positions in the gallery, in any order. If they are fewer than `k`, the caller
            searches exactly.

        Raises:
            StoreError: the index cannot be searched, for example since its server is away.
        """
