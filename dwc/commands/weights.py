"""`python -m dwc weights`: save the image weights of a checkpoint for many comparison queries.

The page compares the image weight of a user's query with these.
"""

import argparse
import sys
from pathlib import Path

HELP = "collect the weights of the catalogue's test queries, to compare each search's with"

_DIGITS = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, help="a checkpoint's folder; the file is written there")
    parser.add_argument("--gallery", type=int, default=2_000, help="how many garments are drawn")
    parser.add_argument("--queries", type=int, default=2_000, help="how many are asked")
    parser.add_argument("--seed", type=int, default=0, help="draws which are asked")


def run(args: argparse.Namespace) -> int:
    """Compute a checkpoint's image weights for catalogue queries, and save both in its folder.

    Returns:
        The exit status.
    """
    from dwc.checkpoints.load import load
    from dwc.evaluation.catalogue import catalogue_weights
    from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

    checkpoint = load(args.model)
    queries, weights = catalogue_weights(
        checkpoint.model,
        checkpoint.processor,
        gallery_size=args.gallery,
        queries=args.queries,
        seed=args.seed,
    )
    reference_queries = ReferenceQueries(
        references=[query.reference for query in queries],
        # The texts are on one line, as on the page. The model's caption template joins two captions
        # in the same way.
        words=[" and ".join(query.captions) for query in queries],
        picture_shares=[round(float(query.picture_share or 0), _DIGITS) for query in queries],
        image_weights={
            name: [round(float(weight), _DIGITS) for weight in row] for name, row in weights.items()
        },
    )
    protocol = f"{args.queries:,} wishes over the catalogue's test garments, seed {args.seed}"
    file = ReferenceWeights.from_queries(reference_queries, protocol).save(args.model)
    sys.stdout.write(f"{file}\n")
    return 0
