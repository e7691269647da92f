"""Names for a map's regions, where it is known what the pictures show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwc.ui.pictures import Pictures
from dwc.ui.store_pictures import StorePictures

FEWEST = 10
"""Of fewer pictures no region is named."""


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: its name, how many, and the place in [0, 1] where the name stands."""

    name: str
    pictures: int
    x: float
    y: float


def kinds_of(pictures: Pictures, ids: Sequence[str]) -> list[str] | None:
    """What the pictures of these ids show; None where that is not known of all."""
    if not isinstance(pictures, StorePictures) or not pictures.garments:
        return None
    kinds = [pictures.kind(picture_id) for picture_id in ids]
    return [kind for kind in kinds if kind is not None] if None not in kinds else None


def name_groups(places: NDArray[np.float64], kinds: Sequence[str]) -> list[Group]:
    """Where the name of each kind stands, given places (n, 2) in [0, 1] and n kinds.

    It stands at the kind's own picture nearest to its median: of a kind in two heaps, in one.
    """
    groups = []
    named = np.asarray(kinds)
    for name in sorted(set(kinds)):
        members = places[named == name]
        if len(members) < FEWEST:
            continue
        away = ((members - np.median(members, axis=0)) ** 2).sum(1)
        x, y = members[away.argmin()].tolist()
        groups.append(Group(name, len(members), x, y))
    return groups
