"""A map in words: where question and results lie, and beside which pictures."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dwc.search.map_marks import MapMarks, Mark
from dwc.ui.wording import escape

NEIGHBOURS = 3
Describe = Callable[[int], str]
"""The picture at a position of the store, in words."""

_NEAR = 0.12
"""An eighth of the way across: what lies closer looks as if it lay together."""
_COLUMNS = ("left", "", "right")
_ROWS = ("upper", "", "lower")


def name_place(x: float, y: float) -> str:
    """A place in [0, 1] as one of nine: "upper left", "top", "middle"."""
    column = _COLUMNS[min(int(3 * x), 2)]
    row = _ROWS[min(int(3 * y), 2)]
    if row and column:
        return f"{row} {column}"
    return column or {"upper": "top", "lower": "bottom"}.get(row, "middle")


def nearest_positions(
    places: NDArray[np.float64], x: float, y: float, count: int, without: Sequence[int] = ()
) -> list[int]:
    """The positions of the `count` places (n, 2) nearest to a place, nearest first."""
    away = ((places - (x, y)) ** 2).sum(1)
    away[list(without)] = np.inf
    order = np.argsort(away, kind="stable")[:count]
    return [position for position in order.tolist() if np.isfinite(away[position])]


def tell_map(
    marks: MapMarks,
    places: NDArray[np.float64],
    describe: Describe,
    kinds: Sequence[str] | None = None,
) -> str:
    """What the map shows of an answer, as a closed note of sentences; `kinds` as `kinds_of`."""
    told = []
    if marks.reference is not None:
        told.append(_tell_reference(marks.reference, places, describe))
    if marks.query is not None:
        told.append(_tell_query(marks.query, marks.reference))
    lines = "".join(f"<p>{sentence}</p>" for sentence in told)
    items = "".join(
        f"<li>{escape(describe(_position(mark)))}: "
        f"{name_place(mark.x, mark.y)}{_beside_query(mark, marks.query)}</li>"
        for mark in marks.results
    )
    return (
        '<details class="note"><summary>The map in words</summary>'
        f"{lines}{_tell_results(marks, kinds)}<ol>{items}</ol></details>"
    )


def _tell_reference(mark: Mark, places: NDArray[np.float64], describe: Describe) -> str:
    if mark.position is None:
        near = [escape(describe(position)) for position in mark.among[:NEIGHBOURS]]
        return (
            "The reference is not of this gallery. It is put among the pictures that the model "
            f"finds most like it, {_place(mark)}: {'; '.join(near)}."
        )
    nearest = nearest_positions(places, mark.x, mark.y, NEIGHBOURS, [mark.position])
    near = [escape(describe(position)) for position in nearest]
    beside = f" Nearest to it: {'; '.join(near)}." if near else ""
    return f"The reference, {escape(describe(mark.position))}, lies {_place(mark)}.{beside}"


def _tell_query(mark: Mark, reference: Mark | None) -> str:
    way = ""
    if reference is not None:
        close = _distance(mark, reference) < _NEAR
        way = ", close to the reference" if close else ", away from the reference"
    return (
        f"The search lies {_place(mark)}{way}. It is no picture: it is put at the mean of the "
        f"{len(mark.among)} that fit it best."
    )


def _tell_results(marks: MapMarks, kinds: Sequence[str] | None) -> str:
    if not marks.results or marks.query is None:
        return ""
    close = sum(_distance(mark, marks.query) < _NEAR for mark in marks.results)
    shown = ""
    if kinds is not None:
        counted = Counter(kinds[_position(mark)] for mark in marks.results).most_common()
        shown = " They are " + ", ".join(f"{escape(kind)} ({n})" for kind, n in counted) + "."
    lie = "lies" if close == 1 else "lie"
    return f"<p>{close} of the {len(marks.results)} results {lie} close to the search.{shown}</p>"


def _beside_query(mark: Mark, query: Mark | None) -> str:
    return ", close to the search" if query and _distance(mark, query) < _NEAR else ""


def _distance(one: Mark, other: Mark) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y))


def _place(mark: Mark) -> str:
    place = name_place(mark.x, mark.y)
    return f"in the {place}" if place == "middle" else f"at the {place}"


def _position(mark: Mark) -> int:
    if mark.position is None:
        raise ValueError("a result is a picture of the gallery, and has its position")
    return mark.position
