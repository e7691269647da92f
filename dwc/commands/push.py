"""Command `dwc push`: publishes a checkpoint on the Hugging Face Hub."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwc.checkpoints.model_card import CardFacts

HELP = "publish a checkpoint's folder, with its model card, as a model of the Hub"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the checkpoint's folder")
    parser.add_argument("name", metavar="NAME", help="the model's name on the Hub: owner/name")
    parser.add_argument("--private", action="store_true", help="if it is made: for its owner alone")
    parser.add_argument("--revision", help="the branch, made if it is not there (main)")
    parser.add_argument(
        "--dry-run", action="store_true", help="check the folder and list the files; upload nothing"
    )
    card = parser.add_argument_group("for the card that is made where the folder has no README.md")
    card.add_argument("--license", metavar="NAME", help="the Hub's name of one: apache-2.0, mit, …")
    card.add_argument(
        "--dataset", metavar="NAME", action="append", help="trained on this; may be given again"
    )
    card.add_argument("--base-model", metavar="NAME", help="the Hub's name of the CLIP")
    card.add_argument(
        "--metrics",
        metavar="JSON",
        type=Path,
        action="append",
        help="numbers of `python -m dwc evaluate --json`; may be given again",
    )


def run(args: argparse.Namespace) -> int:
    """Check the folder, print its files, and upload them unless it is a dry run.

    Returns:
        The exit status.
    """
    from dwc.checkpoints.save import CARD, check_folder, list_files, make_card, push

    facts = _facts(args)
    fingerprint = check_folder(args.folder)
    sizes = {path: file.stat().st_size for path, file in list_files(args.folder).items()}
    card = make_card(args.folder, args.name, facts)
    if card is not None:
        sizes[f"{CARD} (made from the config and what was given here)"] = len(card.encode())
    for path, size in sizes.items():
        sys.stdout.write(f"{size:>13,}  {path}\n")
    sys.stdout.write(f"{sum(sizes.values()):>13,}  bytes in all, fingerprint {fingerprint}\n")
    if args.dry_run:
        if card is not None:
            sys.stdout.write(f"\n{card}\n")
        sys.stdout.write(f"dry run: nothing was uploaded to {args.name}\n")
        return 0
    published = push(args.folder, args.name, args.revision, args.private, facts=facts)
    sys.stdout.write(f"published {published.repo}@{published.commit}: {published.url}\n")
    return 0


def _facts(args: argparse.Namespace) -> "CardFacts | None":
    """Return the facts for the model card that are given as options; None if there are none."""
    from dwc.checkpoints.model_card import CardFacts
    from dwc.checkpoints.save import read_evaluations

    if not (args.license or args.dataset or args.base_model or args.metrics):
        return None
    return CardFacts(
        license=args.license,
        datasets=tuple(args.dataset or ()),
        base_model=args.base_model,
        evaluations=read_evaluations(args.metrics or ()),
    )
