"""Command `dwc study`: an ablation study of DWC and PL (Progressive Learning).

The command trains variants of both models, for example without one of the model's parts, and
compares them. All variants are trained on the same data (drawings of garments) with the same
budget.
"""

import argparse
import logging
import os
from pathlib import Path

from dwc.commands.process_group import require_one_process

HELP = "compare DWC and PL with parts removed, on the same data and budget"

_SEEDS = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("assets"),
        help="numbers, tables and figures go to its folder study (assets)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("runs/study"),
        help="cached features and finished runs; a stopped study continues from them",
    )
    parser.add_argument(
        "--drawings",
        type=Path,
        default=Path("runs/catalogue"),
        help="the folder that the training's drawings are read from, or drawn to",
    )
    parser.add_argument("--model", help="the checkpoint with the frozen towers (that of drawings)")
    parser.add_argument("--seeds", type=int, default=_SEEDS, help=f"how many seeds ({_SEEDS})")
    parser.add_argument("--workers", type=int, help="processes of one core each (a core each)")


def run(args: argparse.Namespace) -> int:
    """Run or continue the study, write its results, and return the exit status."""
    require_one_process("study")
    from tqdm.contrib.logging import logging_redirect_tqdm

    from dwc.errors import TrainingError
    from dwc.training.study.models import StudySettings
    from dwc.training.study.report import write_study

    if args.seeds < 1:
        raise TrainingError(f"--seeds is {args.seeds}; give 1 or more")
    workers = (os.cpu_count() or 1) if args.workers is None else args.workers
    if workers < 1:
        raise TrainingError(f"--workers is {workers}; give 1 or more")
    logging.getLogger("dwc.training").setLevel(logging.INFO)
    logging.getLogger("dwc.training.loop").setLevel(logging.WARNING)
    settings = StudySettings(seeds=tuple(range(args.seeds)))
    with logging_redirect_tqdm():
        folder = write_study(settings, args.model, args.work, args.drawings, args.out, workers)
    logging.getLogger("dwc.training").info("wrote %s", folder)
    return 0
