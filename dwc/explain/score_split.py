"""Explain one result: the parts of its score, and its rank by other variants of the query."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.gallery.exact_search import Vectors
from dwc.search.results import shift_to_json
from dwc.search.weight_sweep import VARIANTS, WeightSweep


@dataclass(frozen=True)
class ScoreExplanation:
    """One gallery image's rank and score for one query.

    Attributes:
        id: the image's.
        rank: from 1, at the shift.
        score: as in `Hit`.
        parts: as in `Hit`.
        percentile: as in `Hit`.
        margin: the score's excess over the next one, 0 or more; None for the last. Margins compare
            within one query; across queries they do not measure certainty.
        ranks: the rank by every variant: image alone, text alone, plain average (every weight 0.5)
            and learned (shift 0); None where the query lacks that modality. The parts are edited
            with the other modality at hand, so "picture" is not a search without text.
        ranked: the number of ranked images.
        shift: what was added to the logit of every image weight.
    """

    id: str
    rank: int
    score: float
    parts: dict[str, float]
    percentile: float
    margin: float | None
    ranks: dict[str, int | None]
    ranked: int
    shift: float

    def to_dict(self) -> dict[str, Any]:
        """Only dicts, lists, numbers and strings; an infinite shift by its name."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def explain_score(sweep: WeightSweep, id: str, shift: float = 0.0) -> ScoreExplanation:
    """Explain one image's rank at a shift.

    Raises:
        QueryError: for an id that the gallery lacks or does not rank, and a shift that is NaN.
    """
    position = sweep.position(id)
    scores = sweep.scores(shift)
    rank = sweep.rank(scores, position)
    rivals = np.delete(scores, list(sweep.excluded))
    return ScoreExplanation(
        id=id,
        rank=rank,
        score=float(scores[position]),
        parts=sweep.parts(position, shift),
        percentile=100.0 * np.count_nonzero(rivals < scores[position]) / len(rivals),
        margin=_margin(rivals, rank),
        ranks={
            variant: _rank(sweep, sweep.variant_scores(variant), position) for variant in VARIANTS
        },
        ranked=len(sweep),
        shift=shift,
    )


def _margin(rivals: Vectors, rank: int) -> float | None:
    """The difference between the score at a rank and the next lower one."""
    if rank == len(rivals):
        return None
    ascending = np.partition(rivals, [len(rivals) - rank - 1, len(rivals) - rank])
    return float(ascending[len(rivals) - rank] - ascending[len(rivals) - rank - 1])


def _rank(sweep: WeightSweep, scores: Vectors | None, position: int) -> int | None:
    return None if scores is None else sweep.rank(scores, position)
