"""`python -m dwc index`: embed pictures into a store that can be searched."""

import argparse
import sys

HELP = "embed pictures into a store; run again, it goes on, adds what is new, drops what is gone"

_SKIPPED_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source",
        metavar="DIR_OR_DATASET",
        help="a folder of pictures, a dataset of the Hub (owner/name), or: catalogue",
    )
    parser.add_argument("--model", help="a checkpoint's folder or Hub id (the bundled one)")
    parser.add_argument("--model-revision", help="the model's commit, branch or tag on the Hub")
    parser.add_argument("--revision", help="the dataset's commit, branch or tag on the Hub")
    parser.add_argument("--out", required=True, metavar="STORE", help="the store's folder")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures at a time (32)")


def run(args: argparse.Namespace) -> int:
    """Build or update the store; pictures that cannot be read are named, and do not fail it."""
    from dwc.gallery.builder import build_store
    from dwc.gallery.sources import open_source

    source = open_source(
        args.source, args.revision
    )  # before torch is imported, which takes seconds

    from dwc.commands.loading import load_checkpoint
    from dwc.search.query import image_embedder, model_identity

    loaded = load_checkpoint(args.model, args.model_revision)
    with ProgressLine() as line:
        store = build_store(
            source,
            image_embedder(loaded),
            args.out,
            model_identity(loaded),
            batch_size=args.batch_size,
            progress=line.show,
        )
    skipped = store.manifest.skipped
    for reason in list(skipped.values())[:_SKIPPED_SHOWN]:
        sys.stderr.write(f"skipped: {reason}\n")
    if len(skipped) > _SKIPPED_SHOWN:
        sys.stderr.write(f"skipped: and {len(skipped) - _SKIPPED_SHOWN} more\n")
    sys.stdout.write(f"{store.path}: {len(store)} pictures, {len(skipped)} skipped\n")
    return 0


class ProgressLine:
    """One line on stderr: rewritten in place on a terminal, every tenth of the way in a log."""

    def __init__(self, label: str = "") -> None:
        """`label` names what is counted, where there is more than one thing to count."""
        self._label = f"{label}: " if label else ""
        self._in_place = sys.stderr.isatty()
        self._tenths_told = -1

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *raised: object) -> None:
        if self._in_place:
            sys.stderr.write("\n")

    def show(self, done: int, total: int, seconds_left: float) -> None:
        """Tell how many of the pictures are done and how long the rest takes."""
        text = f"{self._label}{done} of {total} pictures"
        if done < total and seconds_left:
            text += f", {_duration(seconds_left)} left"
        if self._in_place:
            sys.stderr.write(f"\r\x1b[K{text}")
        elif (tenths := 10 * done // total) > self._tenths_told:
            self._tenths_told = tenths
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
