"""Command `dwc weights`: saves two files that the web page needs in a checkpoint's folder.

The first file has the model's image weights for the reference queries, which are a fixed set of
queries. An image weight is the factor by which the model multiplies the image part of a query. The
web page compares the image weight of a visitor's query with these weights. The second file has the
vectors of the images in the default gallery.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dwc.commands.console import parse_count

if TYPE_CHECKING:
    from dwc.checkpoints.load import Checkpoint

HELP = "save what the page needs besides a model: weights of test queries, the gallery's vectors"

_DIGITS = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "model", type=Path, help="a checkpoint's folder; the files are written there"
    )
    parser.add_argument(
        "--gallery-only", action="store_true", help="save the vectors of the default gallery alone"
    )
    parser.add_argument(
        "--gallery", type=parse_count, help="how many garments are drawn (the whole galleries)"
    )
    parser.add_argument(
        "--queries", type=parse_count, default=2_000, help="number of queries (2000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the queries")


def run(args: argparse.Namespace) -> int:
    """Save the image weights for the reference queries, and the vectors of the default gallery.

    The reference queries are a fixed set with which the web page compares a visitor's query.
    The path of each written file is printed. With `--gallery-only`, only the vectors are saved.

    Returns:
        The exit status.
    """
    from dwc.checkpoints.load import load

    checkpoint = load(args.model)
    if not args.gallery_only:
        sys.stdout.write(f"{_save_weights(checkpoint, args)}\n")
    sys.stdout.write(f"{_save_gallery(checkpoint, args)}\n")
    return 0


def _save_weights(checkpoint: "Checkpoint", args: argparse.Namespace) -> Path:
    """Save the model's image weights for a fixed set of queries; return the file's path.

    An image weight is the factor by which the model multiplies the image part of a query. The web
    page compares the image weight of a visitor's query with these weights.
    """
    from dwc.catalogue.splits import GALLERY_SIZE
    from dwc.evaluation.catalogue import catalogue_weights
    from dwc.search.reference_weights import ReferenceQueries, ReferenceWeights

    queries, weights = catalogue_weights(
        checkpoint.model,
        checkpoint.processor,
        gallery_size=args.gallery or GALLERY_SIZE,
        queries=args.queries,
        seed=args.seed,
    )
    reference_queries = ReferenceQueries(
        references=[query.reference for query in queries],
        # Captions are joined as on the page and in the model's caption template.
        words=[" and ".join(query.captions) for query in queries],
        picture_shares=[round(float(query.picture_share or 0), _DIGITS) for query in queries],
        image_weights={
            name: [round(float(weight), _DIGITS) for weight in row] for name, row in weights.items()
        },
    )
    protocol = f"{args.queries:,} wishes over the catalogue's test garments, seed {args.seed}"
    reference_weights = ReferenceWeights.from_queries(
        reference_queries, protocol, checkpoint.fingerprint
    )
    return reference_weights.save(args.model)


def _save_gallery(checkpoint: "Checkpoint", args: argparse.Namespace) -> Path:
    """Save the vectors of the images in the default gallery; return the file's path."""
    from dwc.catalogue.splits import DEFAULT_SIZE
    from dwc.checkpoints.load import GALLERY_VECTORS
    from dwc.gallery.builder import build_store, save_precomputed
    from dwc.gallery.sources import CatalogueSource
    from dwc.search.image_embedding import image_embedder, model_identity

    file = args.model / GALLERY_VECTORS
    with TemporaryDirectory() as folder:
        store = build_store(
            CatalogueSource(size=args.gallery or DEFAULT_SIZE),
            image_embedder(checkpoint),
            Path(folder) / "store",
            model_identity(checkpoint),
        )
        save_precomputed(store, file)
        del store  # some systems cannot delete a file that is mapped into memory
    return file
