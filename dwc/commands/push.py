"""`python -m dwc push`: publish a checkpoint on the Hub."""

import argparse
import sys
from pathlib import Path

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


def run(args: argparse.Namespace) -> int:
    """Check, list, and unless it is a dry run upload; say where it is."""
    from dwc.publishing import CARD, check, list_files, push

    fingerprint = check(args.folder)
    files = list_files(args.folder)
    for path, file in files.items():
        sys.stdout.write(f"{file.stat().st_size:>13,}  {path}\n")
    total = sum(file.stat().st_size for file in files.values())
    sys.stdout.write(f"{total:>13,}  bytes in all, fingerprint {fingerprint}\n")
    if CARD not in files:
        sys.stderr.write(f"there is no {CARD}: the model will have no card\n")
    if args.dry_run:
        sys.stdout.write(f"dry run: nothing was uploaded to {args.name}\n")
        return 0
    published = push(args.folder, args.name, args.revision, args.private)
    sys.stdout.write(f"published {published.repo}@{published.commit}: {published.url}\n")
    return 0
