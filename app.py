"""The app, on one's own machine and as a Space: python app.py [--model M]… [--gallery G].

The gallery is embedded at the first start and kept for the next, in DWC_CACHE, else in `dwc` under
XDG_CACHE_HOME or ~/.cache: for each model anew, since each has its own vectors. With several models
the page offers a choice, and as many of them as --keep-loaded says stay in memory.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwc.gallery.builder import Progress

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

FAILED = 2
INTERRUPTED = 130  # as shells report SIGINT


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what it leaves open comes from the environment.

    `models` are those named, none for those that come with this package.
    """
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Search pictures by a picture and words, and see why."
    )
    parser.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="MODEL",
        help="a checkpoint's folder or Hub id, owner/name@revision; given several times, the page "
        "offers a choice, and the first answers first (DWC_MODEL, several with commas or blanks "
        "between them, or those bundled)",
    )
    parser.add_argument(
        "--keep-loaded",
        type=_count,
        metavar="N",
        help="how many models stay in memory; of more, the one used longest ago makes room, and "
        "takes seconds when it is asked for again (DWC_KEEP_LOADED, 2)",
    )
    parser.add_argument(
        "--gallery",
        default=os.environ.get("DWC_GALLERY") or "catalogue",
        help="a folder of pictures, a dataset of the Hub, or: catalogue (DWC_GALLERY, catalogue)",
    )
    parser.add_argument("--port", type=int, help="the port (the first free one from 7860)")
    parser.add_argument("--host", help="the address to listen at (127.0.0.1: this machine only)")
    args = parser.parse_args(arguments)
    if args.models is None:
        args.models = split_models(os.environ.get("DWC_MODEL", ""))
    if args.keep_loaded is None:
        try:
            args.keep_loaded = _count(os.environ.get("DWC_KEEP_LOADED") or "2")
        except argparse.ArgumentTypeError as error:
            parser.error(f"DWC_KEEP_LOADED: {error}")
    return args


def split_models(named: str) -> list[str]:
    """The models of DWC_MODEL, with commas or blanks between; a folder that is there is one."""
    if Path(named).expanduser().is_dir() and named:
        return [named]
    return named.replace(",", " ").split()


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of models, 1 or more")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, build the page, serve it until interrupted; 2 for what cannot be loaded or served."""
    args = parse(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    from dwc.errors import DWCError
    from dwc.ui import zerogpu  # before anything that imports torch
    from dwc.ui.blocks import build_page
    from dwc.ui.gallery_images import StoreImages
    from dwc.ui.panels.examples import choose_examples
    from dwc.ui.serving import launch_options, serve_thumbnails
    from dwc.ui.startup import list_bundled, open_meanwhile, open_models

    named = args.models or list_bundled()
    try:
        models, store = open_models(
            named,
            args.gallery,
            partial(show_progress, several=len(named) > 1),
            args.keep_loaded,
            waits=bool(args.models),
        )
        pictures = StoreImages(store)
        serve_thumbnails(pictures)  # first, or the page would open with a copy, as of an upload
        page = build_page(models, pictures, choose_examples(pictures))
        with models.using() as searcher:
            zerogpu.place_for_serving(searcher)
        if not args.models:
            open_meanwhile(models)
        page.launch(**launch_options(pictures, args.host, args.port))
    except (DWCError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


@contextmanager
def show_progress(name: str, several: bool) -> Iterator["Progress"]:
    """A line on stderr that tells how far a model has embedded the gallery, named if `several`."""
    from dwc.commands.index import ProgressLine

    with ProgressLine(name if several else "") as line:
        yield line.show


if __name__ == "__main__":
    sys.exit(main())
