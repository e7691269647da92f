"""Explanation of one result: the parts of its score, and its rank in each variant of the query."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dwc.gallery.search_index import Vectors
from dwc.search.results import shift_to_json
from dwc.search.weight_sweep import VARIANTS, WeightSweep


@dataclass(frozen=True)
class ScoreExplanation:
    """One gallery image's rank and score for one query.

    Attributes:
        id: the image's id.
        rank: the image's rank at the weight shift `shift`, from 1.
        score: the image's score, which is the sum of the cosines between query and image in all
            streams.
        parts: the parts whose sum is `score`, by names such as `clip_image`; see `Hit`.
        percentile: the percentage of the ranked images that have a lower score, 0 to 100.
        margin: the score minus the score of the image ranked next, 0 or more; None for the image
            ranked last. Margins are comparable only within one query and do not measure certainty.
        ranks: the image's rank in each variant of the query, by name: "picture" (image part alone),
            "words" (text part alone), "average" (every weight 0.5) and "learned" (learned weights).
            A rank is None if the query lacks the image or the text that the variant needs. Each
            part is computed from both image and text, so "picture" is not a search without text.
        ranked: the number of images in the ranking: those that fit the query's filter and are not
            excluded.
        shift: the number that was added to the logit of every image weight; 0 for the learned
            weights.
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
        """Return the fields as JSON values; an infinite `shift` becomes "inf" or "-inf"."""
        return {**asdict(self), "shift": shift_to_json(self.shift)}


def explain_score(sweep: WeightSweep, id: str, shift: float = 0.0) -> ScoreExplanation:
    """Explain one image's rank and score for a query.

    Args:
        sweep: the object that computes the query's scores at any image weight.
        id: the image's id.
        shift: number added to the logit of every image weight; a positive number raises the
            weights. It does not affect the field `ranks` of the result, which has the ranks with
            fixed weights and with the learned weights.

    Raises:
        QueryError: if the id is not in the gallery, is excluded or does not fit the query's filter,
            or the shift is NaN.
    """
    position = sweep.position(id)
    scores = sweep.scores(shift)
    rank = sweep.rank(scores, position)
    rivals = sweep.rivals(scores)
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
    """Return the score at a rank minus the score at the next rank; None at the last rank.

    Args:
        rivals: the scores of all ranked images, in any order.
        rank: the rank, from 1 for the highest score.
    """
    if rank == len(rivals):
        return None
    ascending = np.partition(rivals, [len(rivals) - rank - 1, len(rivals) - rank])
    return float(ascending[len(rivals) - rank] - ascending[len(rivals) - rank - 1])


def _rank(sweep: WeightSweep, scores: Vectors | None, position: int) -> int | None:
    return None if scores is None else sweep.rank(scores, position)
