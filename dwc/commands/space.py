"""Command `dwc space`: publishes the web app as a Space on the Hugging Face Hub."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HELP = "publish the page as a Space of the Hub: stage its files, try them out, upload them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="the Space's name on the Hub: owner/name")
    parser.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="MODEL",
        help="a model of the Hub, owner/name@revision, which the Space loads when it is built, or "
        "a bundled model; repeat it to offer a choice (the bundled models)",
    )
    parser.add_argument(
        "--gallery", metavar="DATASET", help="a dataset of the Hub (the drawn garments)"
    )
    parser.add_argument("--title", default="DWC", help="the Space's title (DWC)")
    parser.add_argument(
        "--hardware",
        metavar="NAME",
        default="cpu-basic",
        help="what it is meant for: cpu-basic, zero-a10g, t4-small, … (cpu-basic)",
    )
    parser.add_argument("--private", action="store_true", help="if it is made: for its owner alone")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="keep the staged files there (a temporary folder)",
    )
    parser.add_argument(
        "--no-start", action="store_true", help="upload without starting the staged app first"
    )
    parser.add_argument(
        "--python",
        metavar="FILE",
        default=sys.executable,
        help="the interpreter that starts the staged app; that of a new environment tests "
        "requirements.txt too (this one)",
    )
    parser.add_argument("--dry-run", action="store_true", help="stage and start; upload nothing")


def run(args: argparse.Namespace) -> int:
    """Collect the Space's files in a folder, list them, try out the app, and upload the files.

    With `--no-start`, the app is not tried out; with `--dry-run`, nothing is uploaded.

    Returns:
        The exit status.
    """
    from dwc.checkpoints.hub import publish
    from dwc.errors import CheckpointError, SpaceError
    from dwc.space.staging import SpaceSettings, list_staged, select_outdated, stage
    from dwc.space.trial import try_out

    settings = SpaceSettings(tuple(args.models or ()), args.gallery, args.title, args.hardware)
    with _staging_folder(args.out) as folder:
        sizes = stage(folder, settings)
        for path, size in sizes.items():
            sys.stdout.write(f"{size:>13,}  {path}\n")
        sys.stdout.write(f"{sum(sizes.values()):>13,}  bytes in {len(sizes)} files\n")
        sys.stdout.flush()
        if not args.no_start:
            trial = try_out(folder, args.python)
            sys.stdout.write(
                f"started in {trial.start_seconds:.1f} s; {trial.model} answers a search\n"
            )
        if args.dry_run:
            sys.stdout.write(f"dry run: nothing was uploaded to {args.name}\n")
            return 0
        try:
            published = publish(
                list_staged(folder),
                args.name,
                select_outdated,
                private=args.private,
                message="Upload the page of DWC",
                repo_type="space",
            )
        except CheckpointError as error:
            raise SpaceError(str(error)) from error
    sys.stdout.write(f"published {published.repo}@{published.commit}: {published.url}\n")
    return 0


@contextmanager
def _staging_folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder for the files to upload: `out`, or a temporary folder if `out` is None."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="dwc-space-") as scratch:
        yield Path(scratch) / "space"
