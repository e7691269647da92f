"""Command `dwc train`: trains a model and saves it as a checkpoint.

train catalogue     the bundled checkpoint, from random parameters, on drawings of garments;
                    optionally on photographs afterwards
train dwc           DWC on a benchmark, with an existing CLIP model and ResNet
train progressive   the three stages of Progressive Learning (PL) on drawings of garments, or the
                    last two stages on drawings and photographs; reimplemented from the paper,
                    whose code was not released
"""

import argparse
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwc.commands.console import expand_home
from dwc.commands.process_group import require_one_process

if TYPE_CHECKING:
    from dwc.training.progressive.recipe import Stage

Configure = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace], int]

logger = logging.getLogger(__name__)

_STAGES: "dict[str, Stage]" = {
    "1": "open_domain",
    "2": "fashion",
    "3": "hybrid",
    "all": "hybrid",
}


def _add_seed_and_share(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="decides every random number")
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="share of the recipe's steps and drawings, for a quick trial (0 to 1)",
    )


def _configure_progressive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stage",
        choices=tuple(_STAGES),
        default="all",
        help="the last stage to run; finished stages in --work are not run again (all)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/progressive"), help="drawings, states and logs"
    )
    parser.add_argument(
        "--wardrobe",
        type=expand_home,
        metavar="FOLDER",
        help="photographs with attributes and captions, to train on as well; stage two then starts "
        "from a checkpoint that knows photographs (--start, or the bundled one), its image tower "
        "frozen as with --keep-pictures",
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
        help="freeze the image tower but for its last layer, and compute that layer's inputs once: "
        "minutes on one core; with --start or --clip",
    )
    parser.add_argument(
        "--drawings", type=Path, help="the folder that drawings are read from, or drawn to (--work)"
    )
    _add_seed_and_share(parser)


def _run_progressive(args: argparse.Namespace) -> int:
    from dwc.errors import TrainingError
    from dwc.training.progressive.recipe import (
        ProgressiveRecipe,
        start_from_checkpoint,
        start_from_clip,
    )
    from dwc.training.progressive.train_progressive import publish_progressive

    _check_share(args.share)
    if args.wardrobe is not None:
        return _run_joint_progressive(args)
    start = None
    if args.start is not None:
        start = start_from_checkpoint(args.start)
    elif args.clip is not None:
        start = start_from_clip(args.clip, args.clip_tokenizer)
    if start is not None and args.stage == "1":
        raise TrainingError(f"{start.name} has completed stage 1; ask for 2, 3 or all.")
    if args.keep_pictures and start is None:
        raise TrainingError(
            "--keep-pictures needs a CLIP that was trained on such pictures; give it with --start "
            "or --clip."
        )
    recipe = ProgressiveRecipe.of(args.seed, args.share)
    if args.keep_pictures:
        recipe = recipe.with_cached_images()
    if args.clip is not None and start is not None:
        recipe = recipe.fine_tuning(start.clip.config.vision_config.image_size)
    numbers = publish_progressive(
        recipe, args.work, args.out, start, _STAGES[args.stage], args.drawings
    )
    _log_recalls(args.out, numbers.get("catalogue", {}))
    return 0


def _run_joint_progressive(args: argparse.Namespace) -> int:
    """Train a Progressive Learning model on drawings and photographs; return the exit status."""
    from dwc.checkpoints.load import load
    from dwc.errors import TrainingError
    from dwc.training.catalogue.joint_training import check_wardrobe
    from dwc.training.progressive.joint_progressive import (
        JointProgressiveRecipe,
        publish_joint_progressive,
    )

    if args.clip is not None:
        raise TrainingError(
            "--wardrobe needs a checkpoint that knows photographs; give it with --start, not --clip"
        )
    if args.stage != "all":
        raise TrainingError("with --wardrobe, stages 2 and 3 run together; leave --stage out")
    folder = Path(args.wardrobe) if args.wardrobe else None
    wardrobe = check_wardrobe(folder, "progressive", ())
    recipe = JointProgressiveRecipe.of(args.seed, args.share)
    numbers = publish_joint_progressive(
        recipe, load(args.start), wardrobe, args.work, args.out, args.drawings
    )
    _log_recalls(args.out, numbers.get("catalogue", {}))
    return 0


HELP = "train a checkpoint"

_DATASETS = ("fashion_iq", "shoes", "fashion200k", "css3d")
_MOST_WORKERS = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare a subcommand for each training recipe, and the subcommand's arguments."""
    recipes = parser.add_subparsers(dest="recipe", metavar="RECIPE", required=True)
    for name, (summary, configure_recipe, _) in _RECIPES.items():
        configure_recipe(recipes.add_parser(name, help=summary, description=summary))


def run(args: argparse.Namespace) -> int:
    """Run a training recipe and return the exit status.

    Writes the checkpoint with its evaluation, its training log and its model card.
    """
    from tqdm.contrib.logging import logging_redirect_tqdm

    logging.getLogger("dwc").setLevel(logging.INFO)
    _, _, run_recipe = _RECIPES[args.recipe]
    with logging_redirect_tqdm():
        return run_recipe(args)


def _configure_catalogue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/catalogue"), help="drawings, states and logs"
    )
    _add_seed_and_share(parser)
    parser.add_argument(
        "--photographs", type=Path, help="a folder of labeled photographs to evaluate on as well"
    )
    parser.add_argument(
        "--wardrobe",
        type=expand_home,
        metavar="FOLDER",
        help="photographs with attributes and captions, to train on after the drawings",
    )
    parser.add_argument(
        "--start",
        metavar="CHECKPOINT",
        help="with --wardrobe: a checkpoint of drawings to go on from, instead of training it",
    )


def _run_catalogue(args: argparse.Namespace) -> int:
    require_one_process("train catalogue")
    from dwc.training.catalogue.recipe import CatalogueRecipe
    from dwc.training.catalogue.train_catalogue import publish_catalogue

    _check_share(args.share)
    if args.wardrobe is None and args.start is None:
        recipe = CatalogueRecipe.of(args.seed, args.share)
        numbers = publish_catalogue(recipe, args.work, args.out, args.photographs)
    else:
        numbers = _train_jointly(args)
    logger.info("%s", json.dumps(numbers["catalogue"], indent=2))
    return 0


def _train_jointly(args: argparse.Namespace) -> dict[str, Any]:
    """Train on drawings and photographs, and return the content of `evaluation.json`.

    Training starts from a checkpoint that was trained on drawings alone: the one that `--start`
    names, or else one that this function trains first.
    """
    from dwc.checkpoints.load import EVALUATION
    from dwc.training.catalogue.joint_training import JointRecipe, check_wardrobe, publish_joint
    from dwc.training.catalogue.recipe import CatalogueRecipe
    from dwc.training.catalogue.train_catalogue import claim_work, publish_catalogue

    wardrobe = check_wardrobe(Path(args.wardrobe) if args.wardrobe else None)
    start = args.start
    if start is None:
        drawings = args.work / "drawings"
        recipe = CatalogueRecipe.of(args.seed, args.share)
        claim_work(recipe, args.work)
        if not (drawings / EVALUATION).is_file():  # written last, when training is complete
            publish_catalogue(recipe, args.work, drawings, args.photographs)
        start = str(drawings)
    return publish_joint(
        start,
        wardrobe,
        JointRecipe.scaled(args.seed, args.share),
        args.work / "joint",
        args.out,
    )


def _check_share(share: float) -> None:
    from dwc.errors import TrainingError

    if not 0 < share <= 1:
        raise TrainingError(f"--share is {share}; it must be above 0 and at most 1.")


def _configure_dwc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, choices=_DATASETS)
    parser.add_argument("--data", type=Path, required=True, help="the benchmark's folder")
    parser.add_argument(
        "--clip", required=True, help="the frozen CLIP: a Hub id, a folder, or OpenAI's file (RN50)"
    )
    parser.add_argument("--clip-tokenizer", help="its tokenizer, where none is found beside it")
    parser.add_argument(
        "--resnet",
        help="the CNN stream's ResNet: a Hub id or folder (microsoft/resnet-50)",
    )
    parser.add_argument(
        "--preset",
        choices=("authors", "recommended"),
        default="recommended",
        help="the authors' recipe, slips included, or ours (recommended)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="assignments",
        metavar="NAME=VALUE",
        help="override a field of the preset; may be repeated",
    )
    parser.add_argument(
        "--category",
        action="append",
        default=[],
        choices=("dress", "shirt", "toptee"),
        help="FashionIQ's categories to train on; may be repeated (all)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument(
        "--work",
        type=Path,
        help="states, logs and caches, to continue from (runs/dwc-DATASET-PRESET)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        help=f"processes that load pictures (one a core, up to {_MOST_WORKERS})",
    )
    parser.add_argument(
        "--log-with",
        action="append",
        default=[],
        metavar="TRACKER",
        help="one of accelerate's trackers, such as tensorboard; may be repeated",
    )


def _run_dwc(args: argparse.Namespace) -> int:
    from dwc.errors import TrainingError
    from dwc.training.dwc.presets import PRESETS, override
    from dwc.training.dwc.train_benchmark import RESNET, BenchmarkTraining, train_benchmark

    if args.workers is not None and args.workers < 0:
        raise TrainingError(f"--workers is {args.workers}; give 0 or more")
    if not args.data.is_dir():
        raise TrainingError(f"{args.data} is not a folder; give the one with {args.dataset}")
    training = BenchmarkTraining(
        dataset=args.dataset,
        data=args.data,
        clip=args.clip,
        preset=override(PRESETS[args.preset], args.assignments),
        out=args.out,
        work=args.work or Path("runs") / f"dwc-{args.dataset}-{args.preset}",
        resnet=args.resnet or RESNET,
        clip_tokenizer=args.clip_tokenizer,
        categories=tuple(dict.fromkeys(args.category)),
        workers=min(os.cpu_count() or 1, _MOST_WORKERS) if args.workers is None else args.workers,
        trackers=tuple(args.log_with),
    )
    numbers = train_benchmark(training)
    _log_recalls(args.out, numbers)
    return 0


def _log_recalls(out: Path, numbers: Mapping[str, Any]) -> None:
    """Log the recalls of a finished training.

    Args:
        out: The folder of the checkpoint.
        numbers: The results. In a distributed training, only one process has results; the others
            pass an empty mapping, and nothing is logged.
    """
    if numbers:
        recalls = {name: value for name, value in numbers.items() if name.startswith("recall@")}
        logger.info("%s: %s", out, json.dumps(recalls))


_RECIPES: Mapping[str, tuple[str, Configure, Run]] = {
    "catalogue": (
        "the bundled checkpoint, from nothing, on drawn garments",
        _configure_catalogue,
        _run_catalogue,
    ),
    "dwc": (
        "DWC on a benchmark, on top of a frozen CLIP and ImageNet's ResNet",
        _configure_dwc,
        _run_dwc,
    ),
    "progressive": (
        "PL's three stages (a reconstruction) on drawn garments",
        _configure_progressive,
        _run_progressive,
    ),
}
