"""Why a picture was found: its score taken apart, and where it would stand otherwise."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.gallery.exact_search import Vectors
from dwc.search.results import shift_to_json
from dwc.search.weight_sweep import VARIANTS, WeightSweep


@dataclass(frozen=True)
class ScoreExplanation:
    """One gallery picture's place in the answer to one query.

    `rank` (from 1), `score`, `parts` and `percentile` are as in `Hit`, at the shift asked for.
    `margin` is by how much the score exceeds the next one's: 0 or more, None for the last. Margins
    compare within one query; across queries they are no measure of certainty.

    `ranks` has this picture's rank by picture alone, words alone, their plain average (every weight
    0.5) and as learned (shift 0); None where the query lacks that modality. The picture and the
    words are the edited ones, each of which has looked at the other, so "picture" is not what a
    search without words finds. `ranked` is how many pictures compete.
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
    """Explain one picture's place at a shift.

    Raises QueryError for an id that the gallery lacks or does not rank, and a shift that is NaN.
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
            reading: _rank_as(sweep, sweep.variant_scores(reading), position)
            for reading in VARIANTS
        },
        ranked=len(sweep),
        shift=shift,
    )


def _margin(rivals: Vectors, rank: int) -> float | None:
    """From the score at a rank down to the next one's."""
    if rank == len(rivals):
        return None
    ascending = np.partition(rivals, [len(rivals) - rank - 1, len(rivals) - rank])
    return float(ascending[len(rivals) - rank] - ascending[len(rivals) - rank - 1])


def _rank_as(sweep: WeightSweep, scores: Vectors | None, position: int) -> int | None:
    return None if scores is None else sweep.rank(scores, position)
