"""What every benchmark becomes once read: triplets to learn from, queries to be asked."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Triplet:
    """A reference picture, the words that change it, and the picture that results.

    `captions` are the annotators' phrases, one or two, before any caption template.
    """

    reference: str
    captions: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class RetrievalQuery:
    """A question to a gallery, with what is known of its answer.

    `hits` are the gallery ids that count as found. `picture_share`, where the truth is known, is
    the share (0 to 1) of the wished-for attributes that only the picture tells.
    """

    reference: str
    captions: tuple[str, ...]
    hits: frozenset[str]
    picture_share: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """A protocol ready to run: its name, its gallery in order, its queries, and what was missing."""

    protocol: str
    gallery: tuple[str, ...]
    queries: tuple[RetrievalQuery, ...]
    reference_removed: bool = True
    missing: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
