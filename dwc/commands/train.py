"""`python -m dwc train`: a checkpoint, from nothing or on a benchmark.

train catalogue     the bundled checkpoint: everything from nothing, on drawn garments
train dwc           DWC on a benchmark, on top of a CLIP and a ResNet that exist
train progressive   PL's three stages, a reconstruction, on drawn garments
"""

import argparse
import json
import logging
import os
from pathlib import Path
from typing import Any

from dwc.commands import train_progressive

HELP = "train a checkpoint"

_DATASETS = ("fashion_iq", "shoes", "fashion200k", "css3d")
_MOST_WORKERS = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of every recipe."""
    recipes = parser.add_subparsers(dest="recipe", metavar="RECIPE", required=True)
    told = "the bundled checkpoint, from nothing, on drawn garments"
    _configure_catalogue(recipes.add_parser("catalogue", help=told, description=told))
    told = "DWC on a benchmark, on top of a frozen CLIP and ImageNet's ResNet"
    _configure_dwc(recipes.add_parser("dwc", help=told, description=told))
    told = train_progressive.HELP
    train_progressive.configure(recipes.add_parser("progressive", help=told, description=told))


def run(args: argparse.Namespace) -> int:
    """Train, write the checkpoint, measure it, and write its numbers and log beside it."""
    return {
        "catalogue": _run_catalogue,
        "dwc": _run_dwc,
        "progressive": train_progressive.run,
    }[args.recipe](args)


def _configure_catalogue(parser: argparse.ArgumentParser) -> None:
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


def _run_catalogue(args: argparse.Namespace) -> int:
    from dwc.training.publish import publish_catalogue
    from dwc.training.recipe import CatalogueRecipe

    logging.getLogger("dwc").setLevel(logging.INFO)
    recipe = CatalogueRecipe.of(args.seed, args.share)
    numbers: dict[str, Any] = publish_catalogue(recipe, args.work, args.out, args.photographs)
    logging.getLogger(__name__).info("%s", json.dumps(numbers["catalogue"], indent=2))
    return 0


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
        help="one of the preset's numbers or switches, otherwise; may be repeated",
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
        "--work", type=Path, help="states and logs, to go on from (runs/dwc-DATASET-PRESET)"
    )
    parser.add_argument(
        "--workers", type=int, help=f"processes that read pictures (a core each, {_MOST_WORKERS})"
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
    from dwc.training.benchmark_model import RESNET
    from dwc.training.benchmark_training import BenchmarkTraining, train_benchmark
    from dwc.training.presets import PRESETS, override

    if args.workers is not None and args.workers < 0:
        raise TrainingError(f"--workers is {args.workers}; give 0 or more")
    if not args.data.is_dir():
        raise TrainingError(f"{args.data} is not a folder; give the one with {args.dataset}")
    asked = BenchmarkTraining(
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
    logging.getLogger("dwc.training").setLevel(logging.INFO)
    logging.getLogger("dwc.datasets").setLevel(logging.INFO)
    numbers = train_benchmark(asked)
    if numbers:  # the first process has them
        recalls = {name: value for name, value in numbers.items() if name.startswith("recall@")}
        logging.getLogger("dwc.training").info("%s: %s", args.out, json.dumps(recalls))
    return 0
