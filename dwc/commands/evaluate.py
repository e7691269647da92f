"""`python -m dwc evaluate`: a benchmark's numbers for a checkpoint."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HELP = "measure a checkpoint on a benchmark"

_CATALOGUE_GALLERY = 2_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", help="a checkpoint's folder, a Hub id, or dwc-catalogue")
    parser.add_argument(
        "--dataset", default="catalogue", choices=("catalogue", "fashion_iq", "photographs")
    )
    parser.add_argument("--data", type=Path, help="the benchmark's folder; not for the catalogue")
    parser.add_argument("--split", default="test", choices=("test", "val"))
    parser.add_argument("--protocol", default="P3", help="FashionIQ's protocol, P1 to P4")
    parser.add_argument("--seed", type=int, default=0, help="draws which queries are asked")
    parser.add_argument("--queries", type=int, default=2_000, help="how many queries are asked")
    parser.add_argument("--json", type=Path, dest="json_file", help="write the numbers here, too")


def run(args: argparse.Namespace) -> int:
    """Run the evaluation, print its numbers, and write them where asked."""
    from dwc.checkpoint import load

    checkpoint = load(args.model)
    numbers = {"model": checkpoint.name, "fingerprint": checkpoint.fingerprint}
    numbers |= _measure(checkpoint, args)
    text = json.dumps(numbers, indent=2)
    if args.json_file:
        args.json_file.parent.mkdir(parents=True, exist_ok=True)
        args.json_file.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


def _measure(checkpoint: Any, args: argparse.Namespace) -> dict[str, Any]:
    if args.dataset == "catalogue":
        from dwc.evaluation.catalogue import evaluate_catalogue

        return evaluate_catalogue(
            checkpoint.model,
            checkpoint.processor,
            split=args.split,
            gallery_size=_CATALOGUE_GALLERY,
            queries=args.queries,
            seed=args.seed,
        )
    data = require_folder(args.data, args.dataset)
    if args.dataset == "photographs":
        from dwc.evaluation.photographs import read_labelled_photographs, words_to_photographs

        photographs = read_labelled_photographs(data)
        return words_to_photographs(checkpoint.model, checkpoint.processor, photographs)
    from dwc.evaluation.fashion_iq import evaluate_fashion_iq

    return evaluate_fashion_iq(checkpoint.model, checkpoint.processor, data, args.protocol)


def require_folder(folder: Path | None, dataset: str) -> Path:
    """The folder given, or the DatasetError that says how to give one."""
    from dwc.errors import DatasetError

    if folder is None:
        raise DatasetError(f"the dataset {dataset} needs its files; say where: --data DIR")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one with {dataset}: --data DIR")
    return folder
