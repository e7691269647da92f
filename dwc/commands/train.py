"""`python -m dwc train`: a checkpoint from nothing."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

HELP = "train a checkpoint"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=("catalogue",), help="what to train on: drawn garments")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/catalogue"), help="drawings, states and logs"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides every random number")
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="of the recipe's steps and drawings, for a quick trial (0 to 1)",
    )
    parser.add_argument(
        "--photographs", type=Path, help="a folder of labelled photographs to measure on as well"
    )


def run(args: argparse.Namespace) -> int:
    """Train, write the checkpoint, measure it, and write its card and log beside it."""
    from dwc.training.publish import publish_catalogue
    from dwc.training.recipe import CatalogueRecipe

    logging.getLogger("dwc").setLevel(logging.INFO)
    recipe = CatalogueRecipe.of(args.seed, args.share)
    numbers: dict[str, Any] = publish_catalogue(recipe, args.work, args.out, args.photographs)
    logging.getLogger(__name__).info("%s", json.dumps(numbers["catalogue"], indent=2))
    return 0
