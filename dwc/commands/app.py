"""Command `dwc app`: serves the web app, locally or as a Hugging Face Space (through app.py).

The vectors of the gallery's images are computed once for each model and cached for later starts.
The environment variable DWC_CACHE names the folder of this cache; the default is `dwc` under
XDG_CACHE_HOME or ~/.cache. If there are several models, users can choose one in the page, and at
most `--keep-loaded` models stay in memory.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dwc.errors import DWCError

if TYPE_CHECKING:
    from dwc.gallery.builder import Progress

HELP = "serve the page: search pictures by a picture and words, and see why"

DEFAULT_KEEP_LOADED = "2"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments; `run` takes omitted values from environment variables."""
    parser.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="MODEL",
        help="a checkpoint's folder or Hub id, owner/name@revision; repeat it to offer a choice, "
        "the first is the default (DWC_MODEL, several separated by commas or spaces, or the "
        "bundled models)",
    )
    parser.add_argument(
        "--keep-loaded",
        type=parse_model_count,
        metavar="N",
        help="how many models stay in memory; the least recently used one is unloaded to make room "
        "for another, and takes seconds to load again (DWC_KEEP_LOADED, 2)",
    )
    parser.add_argument(
        "--gallery",
        help="a folder of pictures, tar or Parquet files, a saved dataset, a dataset of the Hub, "
        "or: catalogue (DWC_GALLERY, catalogue)",
    )
    parser.add_argument("--port", type=int, help="the port (the first free one from 7860)")
    parser.add_argument("--host", help="the address to listen at (127.0.0.1: this machine only)")
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="offer the search to language models too: serve MCP at /mcp (DWC_MCP=1)",
    )


def complete_from_environment(args: argparse.Namespace) -> argparse.Namespace:
    """Replace omitted command-line arguments by environment variables or defaults.

    Returns:
        A copy of the arguments in which `models`, `keep_loaded`, `gallery` and `mcp` are set. An
        empty list of models stands for the bundled models.

    Raises:
        DWCError: An environment variable has an invalid value, or MCP is requested and the package
            `mcp` is not installed.
    """
    models, keep_loaded = args.models, args.keep_loaded
    if models is None:
        models = split_models(os.environ.get("DWC_MODEL", ""))
    if keep_loaded is None:
        try:
            keep_loaded = parse_model_count(
                os.environ.get("DWC_KEEP_LOADED") or DEFAULT_KEEP_LOADED
            )
        except argparse.ArgumentTypeError as error:
            raise DWCError(f"DWC_KEEP_LOADED: {error}") from error
    gallery = args.gallery or os.environ.get("DWC_GALLERY") or "catalogue"
    mcp = args.mcp or os.environ.get("DWC_MCP", "").lower() in ("1", "true")
    if mcp and find_spec("mcp") is None:
        raise DWCError("--mcp needs the package mcp. Install it: pip install 'dwc[mcp]'")
    completed = {"models": models, "keep_loaded": keep_loaded, "gallery": gallery, "mcp": mcp}
    return argparse.Namespace(**{**vars(args), **completed})


def split_models(names: str) -> list[str]:
    """Split the value of DWC_MODEL at commas and spaces, unless the value is a folder's path."""
    if names and Path(names).expanduser().is_dir():
        return [names]
    return names.replace(",", " ").split()


def parse_model_count(text: str) -> int:
    """Parse a number of models, 1 or more.

    Raises:
        argparse.ArgumentTypeError: The text is not such a number.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of models, 1 or more")
    return number


def run(args: argparse.Namespace) -> int:
    """Load the models, build the page, serve it until interrupted, and return the exit status."""
    args = complete_from_environment(args)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

    from dwc.ui import zerogpu  # noqa: F401  # must be imported before torch
    from dwc.ui.blocks import build_page
    from dwc.ui.gallery_images import StoreImages
    from dwc.ui.panels.examples import choose_examples
    from dwc.ui.programs import add_program_access
    from dwc.ui.startup import (
        launch_options,
        list_bundled,
        open_meanwhile,
        open_models,
        serve_thumbnails,
    )

    names = args.models or list_bundled()
    models, store = open_models(
        names,
        args.gallery,
        partial(show_progress, several=len(names) > 1),
        args.keep_loaded,
        waits=bool(args.models),
    )
    images = StoreImages(store)
    serve_thumbnails(images)  # must come before the page is built, or Gradio copies the images
    page = build_page(models, images, choose_examples(images))
    open_meanwhile(models, () if args.models else models.names, store)
    options = launch_options(images, args.host, args.port)
    add_program_access(options, models, images, serves_mcp=args.mcp)
    page.launch(**options)
    return 0


@contextmanager
def show_progress(name: str, several: bool) -> Iterator["Progress"]:
    """Show on stderr how far a model has embedded the gallery.

    Args:
        name: The model's name.
        several: Whether there are several models; the model's name is then displayed, too.

    Yields:
        The function to call with the number of finished images, the number of all images, and the
        estimated seconds left.
    """
    from dwc.commands.index import ProgressLine

    with ProgressLine(name if several else "") as line:
        yield line.show
