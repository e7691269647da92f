"""Command `dwc evaluate`: evaluates a checkpoint on a benchmark."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwc.checkpoints.load import Checkpoint

HELP = "measure a checkpoint on a benchmark"

# The splits of each benchmark; the first is the default.
SPLITS = {
    "catalogue": ("test", "val"),
    "wishes": ("families",),
    "fashion_iq": ("val",),
    "shoes": ("test",),
    "fashion200k": ("test",),
    "css3d": ("test",),
    "cirr": ("val", "test1"),
    "photographs": ("test",),
    "wardrobe": ("eval",),
}

# Benchmarks whose splits are defined by a table in their folder, so any name is accepted.
_NAMES_ITS_SPLITS = frozenset({"wardrobe"})

# Options that only one benchmark has. Maps the argument's name to the benchmark's name.
BELONGS_TO = {
    "protocol": "fashion_iq",
    "category": "fashion_iq",
    "states_answer": "fashion200k",
    "submission": "cirr",
}

_CATALOGUE_QUERIES = 2_000
_WISHES = 1_000
_DRAWN = frozenset({"catalogue", "wishes"})  # their images are drawn, so they have no files


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", help="a checkpoint's folder, a Hub id, or dwc-catalogue")
    parser.add_argument("--dataset", default="catalogue", choices=tuple(SPLITS))
    parser.add_argument(
        "--data",
        type=Path,
        help="the benchmark's folder; not for what is drawn: catalogue and wishes",
    )
    parser.add_argument(
        "--split",
        help="the benchmark's usual one: val for fashion_iq and cirr, eval for wardrobe, test for "
        "the others; of a wardrobe any that its table has",
    )
    parser.add_argument("--protocol", help="FashionIQ's protocol, P1 to P4 (P3)")
    parser.add_argument(
        "--category",
        action="append",
        choices=("dress", "shirt", "toptee"),
        help="one of FashionIQ's categories, for a model of it alone (all)",
    )
    parser.add_argument(
        "--states-answer",
        action="store_true",
        help="end Fashion200k's words in the target's caption, as DWC's released code does",
    )
    parser.add_argument(
        "--submission", type=Path, help="with cirr and --split test1: write what its server scores"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws which queries are asked")
    parser.add_argument(
        "--queries",
        type=int,
        help=f"how many queries to run ({_CATALOGUE_QUERIES:,} of the catalogue, {_WISHES:,} of "
        "each kind of wishes, all of others)",
    )
    parser.add_argument("--json", type=Path, dest="json_file", help="write the numbers here, too")


def run(args: argparse.Namespace) -> int:
    """Run the evaluation, print its results, and write them to the file that `--json` names.

    Returns:
        The exit status.
    """
    _check(args)

    from dwc.checkpoints.load import load

    logging.getLogger("dwc.evaluation").setLevel(logging.INFO)
    checkpoint = load(args.model)
    numbers = {"model": checkpoint.name, "fingerprint": checkpoint.fingerprint}
    numbers |= _measure(checkpoint, args)
    text = json.dumps(numbers, indent=2)
    if args.json_file:
        args.json_file.parent.mkdir(parents=True, exist_ok=True)
        args.json_file.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Check that the options are compatible; set `args.split` to the default if it is omitted.

    Raises:
        DatasetError: Options are incompatible, or the data folder is missing.
    """
    from dwc.errors import DatasetError

    for option, dataset in BELONGS_TO.items():
        if getattr(args, option) and args.dataset != dataset:
            raise DatasetError(
                f"--{option.replace('_', '-')} belongs to {dataset}, and the dataset is "
                f"{args.dataset}; leave it out or ask for --dataset {dataset}"
            )
    splits = SPLITS[args.dataset]
    args.split = args.split or ("test1" if args.submission else splits[0])
    if args.split not in splits and args.dataset not in _NAMES_ITS_SPLITS:
        raise DatasetError(
            f"{args.dataset} is measured on {' or '.join(splits)}, not on {args.split!r}: "
            f"--split {splits[0]}"
        )
    if args.submission and args.split != "test1":
        raise DatasetError(
            f"a submission is of the split test1, not {args.split}: its targets alone are withheld"
        )
    if args.queries is not None and args.queries < 1:
        raise DatasetError(f"--queries is {args.queries}; ask at least 1")
    if args.submission and args.queries is not None:
        raise DatasetError("CIRR's server wants every query; leave --queries out")
    if args.dataset not in _DRAWN:
        require_folder(args.data, args.dataset)


def _measure(checkpoint: "Checkpoint", args: argparse.Namespace) -> dict[str, Any]:
    model, processor = checkpoint.model, checkpoint.processor
    if args.dataset == "catalogue":
        from dwc.evaluation.catalogue import evaluate_catalogue

        queries = args.queries or _CATALOGUE_QUERIES
        return evaluate_catalogue(model, processor, args.split, queries=queries, seed=args.seed)
    if args.dataset == "wishes":
        from dwc.evaluation.catalogue import evaluate_wishes

        return evaluate_wishes(model, processor, count=args.queries or _WISHES, seed=args.seed)
    if args.dataset == "photographs":
        from dwc.evaluation.photographs import evaluate_photographs, read_labeled_photographs

        return evaluate_photographs(model, processor, read_labeled_photographs(args.data))
    drawn = {"queries": args.queries, "seed": args.seed}
    if args.dataset == "wardrobe":
        from dwc.evaluation.photographs import evaluate_wardrobe

        return evaluate_wardrobe(model, processor, args.data, args.split, **drawn)
    if args.submission:
        from dwc.evaluation.benchmarks import write_cirr_submission

        return write_cirr_submission(model, processor, args.data, args.submission)
    from dwc.evaluation.benchmarks import CATEGORIES, BenchmarkOptions, evaluate_benchmark

    options = BenchmarkOptions(
        args.split, args.protocol or "P3", args.category or CATEGORIES, args.states_answer
    )
    return evaluate_benchmark(args.dataset, model, processor, args.data, options, **drawn)


def require_folder(folder: Path | None, dataset: str) -> Path:
    """Return the folder of a benchmark's files, after checking that it exists.

    Raises:
        DatasetError: No folder is given, or the folder does not exist. The message says what to do.
    """
    from dwc.errors import DatasetError

    if folder is None:
        raise DatasetError(f"the dataset {dataset} needs its files; say where: --data DIR")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one with {dataset}: --data DIR")
    return folder
