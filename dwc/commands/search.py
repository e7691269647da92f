"""Command `dwc search`: searches a stored gallery with an image, a text, or both."""

import argparse
import sys
from typing import TYPE_CHECKING

from dwc.commands.console import add_index_argument, expand_home, json_text
from dwc.datasets.image_kinds import printable

if TYPE_CHECKING:
    from dwc.search.results import Hit, SearchResult

HELP = "search a store with a picture, words, or both"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "store",
        type=expand_home,
        metavar="STORE",
        help="a folder made by: python -m dwc index",
    )
    parser.add_argument("--image", type=expand_home, metavar="FILE", help="the reference picture")
    parser.add_argument("--reference-id", metavar="ID", help="a picture of the gallery instead")
    parser.add_argument("--text", default="", metavar="WORDS", help="what should be different")
    parser.add_argument("--k", type=int, default=12, help="how many results (12)")
    parser.add_argument(
        "--shift",
        type=float,
        default=0.0,
        help="lean to the picture (positive) or the words (negative); inf and -inf are the ends",
    )
    parser.add_argument(
        "--fold",
        action="store_true",
        help="show one of each group of near-duplicates, and fill the list up to K",
    )
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="CONDITION",
        help="only pictures whose metadata fit: 'category = dress', 'price < 50', 'colour != red', "
        "'size in (S, M)', joined by and, or, not; if repeated, all have to fit",
    )
    add_index_argument(parser)
    parser.add_argument("--model", help="a checkpoint's folder or Hub id (the store's own)")
    parser.add_argument("--model-revision", help="the model's commit, branch or tag on the Hub")
    parser.add_argument("--json", action="store_true", help="print all that is known, as JSON")


def run(args: argparse.Namespace) -> int:
    """Search the stored gallery, print the results, and return the exit status."""
    from dwc.gallery.filters import join_filters, parse_filter
    from dwc.gallery.search_index import AUTO, open_index
    from dwc.gallery.store import Store

    # A wrong path or filter is reported before torch is imported, which takes seconds.
    store = Store.open(args.store)
    condition = join_filters(args.filter)
    parse_filter(condition, store.metadata)
    index = open_index(args.index or AUTO, store, build=False)

    from dwc.checkpoints.load import load
    from dwc.search.searcher import Searcher

    made_by = store.manifest.model
    try:
        if args.model is None:
            checkpoint = load(made_by.name, args.model_revision or made_by.revision)
        else:
            checkpoint = load(args.model, args.model_revision)
        result = Searcher(checkpoint, store, index).search(
            args.image,
            args.text,
            args.k,
            args.shift,
            reference_id=args.reference_id,
            fold=args.fold,
            filter=condition,
        )
    finally:
        if index is not None:
            index.close()
    text = json_text(result.to_dict()) if args.json else format_table(result)
    sys.stdout.write(f"{text}\n")
    return 0


def format_table(result: "SearchResult") -> str:
    """Return a search result as text.

    The text has the weights of the query's image and words in each of the model's streams, notes,
    and a table with one line per image found.
    """
    lines = [
        f"{name}: picture {weight.image:.0%}, words {weight.text:.0%}"
        for name, weight in result.weights.items()
    ]
    if result.unknown_words:
        lines.append(f"unknown words: {', '.join(result.unknown_words)}")
    if result.filter:
        fitting = f"{result.fitting:,} of {result.gallery_size:,} pictures fit"
        lines.append(f"filter: {result.filter} ({fitting})")
    if result.index != "exact":
        known = "" if result.recall is None else f" (finds {result.recall:.1%} of the 50 best)"
        lines.append(f"index: {result.index}{known}")
    lines += result.notes
    if any(hit.away for hit in result.hits):
        lines.append(
            "away: the file was missing when the gallery was last indexed. Connect its drive, or "
            "index again with --prune."
        )
    parts = list(result.hits[0].parts) if result.hits else []
    lines.append("  ".join(["rank", " score", *parts, "id"]))
    for hit in result.hits:
        scores = [f"{hit.parts[name]:>{len(name)}.3f}" for name in parts]
        lines.append("  ".join([f"{hit.rank:>4}", f"{hit.score:>6.3f}", *scores, _label(hit)]))
    return "\n".join(map(printable, lines))


def _label(hit: "Hit") -> str:
    copies = len(hit.near_duplicates or ())
    noun = "near-duplicate" if copies == 1 else "near-duplicates"
    remarks = [f"+{copies} {noun}"] if copies else []
    if hit.away:
        remarks.append("away")
    return f"{hit.id} ({', '.join(remarks)})" if remarks else hit.id
