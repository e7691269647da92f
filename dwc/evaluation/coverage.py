"""What of a benchmark could be measured, and what that does to its numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# With this much of queries and gallery, what is lost moves a recall by less than the seeds do.
NEARLY_COMPLETE = 0.99
MAX_NAMED = 20  # lost pictures named in a report


@dataclass(frozen=True)
class Coverage:
    """How many queries and gallery pictures were there, of how many.

    `queries` could be asked, and `asked` of them were; `lost` are the pictures that were missing or
    could not be read, `unreadable` of them the latter.
    """

    queries: int
    all_queries: int
    asked: int
    gallery: int
    all_gallery: int
    lost: tuple[str, ...] = ()
    unreadable: int = 0

    @classmethod
    def total(cls, parts: Iterable["Coverage"]) -> "Coverage":
        """That of several benchmarks together, whose galleries are counted one after the other."""
        every = list(parts)
        return cls(
            queries=sum(part.queries for part in every),
            all_queries=sum(part.all_queries for part in every),
            asked=sum(part.asked for part in every),
            gallery=sum(part.gallery for part in every),
            all_gallery=sum(part.all_gallery for part in every),
            lost=tuple(name for part in every for name in part.lost),
            unreadable=sum(part.unreadable for part in every),
        )

    @property
    def query_share(self) -> float:
        """The share (0 to 1) of the queries that could be asked."""
        return self.queries / self.all_queries if self.all_queries else 0.0

    @property
    def gallery_share(self) -> float:
        """The share (0 to 1) of the gallery that was there."""
        return self.gallery / self.all_gallery if self.all_gallery else 0.0

    @property
    def comparable(self) -> bool:
        """Whether the numbers are those of the whole benchmark."""
        return not self.lost and self.asked == self.all_queries and self.gallery_share == 1

    def describe(self) -> str:
        """How far the numbers may be put beside those of the whole benchmark, in words."""
        if self.comparable:
            return "comparable: every picture was there and every query was asked"
        told = []
        if self.lost or self.queries < self.all_queries:
            least = min(self.query_share, self.gallery_share)
            told.append("nearly comparable" if least >= NEARLY_COMPLETE else "not comparable")
            told.append(
                f"{self.gallery:,} of {self.all_gallery:,} gallery pictures "
                f"({self.gallery_share:.1%}) and {self.queries:,} of {self.all_queries:,} queries "
                f"({self.query_share:.1%}) are left"
            )
            if 0 < self.gallery_share < 1:
                told.append(
                    "a smaller gallery is easier: recall@K is about what recall@"
                    f"{1 / self.gallery_share:.3g}K would be on the whole"
                )
        if self.asked < self.queries:
            told.append(f"an estimate, from {self.asked:,} of {self.queries:,} queries")
        return "; ".join(told)

    def to_dict(self) -> dict[str, Any]:
        """Counts, shares and the words, as a report has them."""
        return {
            "missing": len(self.lost),
            "unreadable": self.unreadable,
            "missing_pictures": list(self.lost[:MAX_NAMED]),
            "comparable": self.comparable,
            "comparability": self.describe(),
            "coverage": {
                "queries": self.query_share,
                "gallery": self.gallery_share,
                "queries_asked": self.asked,
                "queries_left": self.queries,
                "queries_of": self.all_queries,
                "gallery_left": self.gallery,
                "gallery_of": self.all_gallery,
            },
        }
