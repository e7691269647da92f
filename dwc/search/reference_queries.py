"""The queries behind a checkpoint's reference weights, one by one."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReferenceQueries:
    """What was asked, and what weight each question was given; entry i of every list is query i's.

    `references` are ids of the gallery that was asked; `words` as a person would type them, on one
    line. `picture_shares`, in [0, 1], is how much of what was wished for only the picture tells;
    None where the truth is not known. `image_weights` by stream, in [0, 1].
    """

    references: list[str]
    words: list[str]
    picture_shares: list[float] | None
    image_weights: dict[str, list[float]]

    def __len__(self) -> int:
        return len(self.references)

    def to_dict(self) -> dict[str, Any]:
        """What is kept beside the weights; these have their own place in the file."""
        return {
            "references": self.references,
            "words": self.words,
            "picture_shares": self.picture_shares,
        }


def problems_of(content: Any, queries: int) -> list[str]:
    """What is wrong with `to_dict`'s table as it was read from a file; empty if nothing is."""
    if not isinstance(content, dict):
        return ["the queries asked are no table"]
    problems = [
        f"{name!r} of the queries asked is not a list of {queries} texts"
        for name in ("references", "words")
        if not _is_list_of(content.get(name), str, queries)
    ]
    shares = content.get("picture_shares")
    if shares is not None and not (
        _is_list_of(shares, (int, float), queries) and all(0 <= share <= 1 for share in shares)
    ):
        problems.append(f"'picture_shares' is not a list of {queries} numbers from 0 to 1, or null")
    return problems


def _is_list_of(values: Any, kind: type | tuple[type, ...], count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, kind) and not isinstance(value, bool) for value in values)
    )
