"""`python -m dwc train progressive`: PL's three stages, a reconstruction, on drawn garments."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwc.training.progressive.recipe import Stage

HELP = "PL's three stages (a reconstruction) on drawn garments"

_STAGES: "dict[str, Stage]" = {
    "1": "open_domain",
    "2": "fashion",
    "3": "hybrid",
    "all": "hybrid",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the recipe's arguments."""
    parser.add_argument(
        "--stage",
        choices=tuple(_STAGES),
        default="all",
        help="go as far as this; stages that are finished in --work are not run again (all)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/progressive"), help="drawings, states and logs"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--start", metavar="CHECKPOINT", help="start stage two from this checkpoint's CLIP"
    )
    start.add_argument(
        "--clip", help="start stage two from a CLIP: a Hub id, a folder, or OpenAI's file"
    )
    parser.add_argument("--clip-tokenizer", help="its tokenizer, where none is found beside it")
    parser.add_argument(
        "--keep-pictures",
        action="store_true",
        help="leave the image tower as it is but for its last layer, and look at every picture "
        "once: minutes on one core; with --start or --clip",
    )
    parser.add_argument(
        "--drawings", type=Path, help="where drawings are, or go to (the folder of --work)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides every random number")
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="of the recipe's steps and drawings, for a quick trial (0 to 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, write the checkpoint, measure it, and write its numbers, log and card beside it."""
    from dwc.errors import TrainingError
    from dwc.training.progressive.publish import publish_progressive
    from dwc.training.progressive.recipe import ProgressiveRecipe
    from dwc.training.progressive.starting import start_from_checkpoint, start_from_clip

    if not 0 < args.share <= 1:
        raise TrainingError(f"--share is {args.share}; it must be above 0 and at most 1.")
    start = None
    if args.start is not None:
        start = start_from_checkpoint(args.start)
    elif args.clip is not None:
        start = start_from_clip(args.clip, args.clip_tokenizer)
    if start is not None and args.stage == "1":
        raise TrainingError(
            f"stage 1 is the one that {start.name} has been through; ask for 2, 3 or all."
        )
    if args.keep_pictures and start is None:
        raise TrainingError(
            "--keep-pictures needs a CLIP that reads pictures already; name it with --start or "
            "--clip."
        )
    recipe = ProgressiveRecipe.of(args.seed, args.share)
    if args.keep_pictures:
        recipe = recipe.keeping()
    if args.clip is not None and start is not None:
        recipe = recipe.fine_tuning(start.clip.config.vision_config.image_size)
    logging.getLogger("dwc").setLevel(logging.INFO)
    numbers = publish_progressive(
        recipe, args.work, args.out, start, _STAGES[args.stage], args.drawings
    )
    if numbers:  # the first process has them
        recalls = {name: value for name, value in numbers["catalogue"].items() if "recall@" in name}
        logging.getLogger(__name__).info("%s: %s", args.out, json.dumps(recalls))
    return 0
