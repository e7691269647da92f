"""Command `dwc report`: writes a Markdown page with the evaluation results of checkpoints."""

import argparse
import sys
from pathlib import Path

from dwc.commands.console import expand_home

HELP = "write the tables of evaluation.json as a Markdown page"

_BUNDLED = ("dwc-catalogue", "progressive-catalogue")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "model",
        nargs="*",
        type=expand_home,
        default=_BUNDLED,
        help=f"folders of checkpoints, or names of bundled ones ({' '.join(_BUNDLED)})",
    )
    parser.add_argument("--out", type=Path, help="the page, assets/docs/results.md say (stdout)")


def run(args: argparse.Namespace) -> int:
    """Write the results as a Markdown page to a file or stdout, and return the exit status."""
    from dwc.checkpoints.model_card import render_results
    from dwc.files import write_text

    page = render_results([_folder(name) for name in args.model])
    if args.out is None:
        sys.stdout.write(page)
    else:
        write_text(args.out, page)
    return 0


def _folder(name: str) -> Path:
    from dwc.checkpoints import load

    bundled = load.BUNDLED_FOLDER.parent / name
    return bundled if bundled.is_dir() else Path(name)
