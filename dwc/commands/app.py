"""Command `dwc app`: serves the web app, locally or as a Hugging Face Space.

The vectors of the gallery's images are computed once for each model, and cached for later starts.
The environment variable DWC_CACHE names the folder of this cache; the default is `dwc` under
XDG_CACHE_HOME or ~/.cache. If there are several models, visitors can choose a model on the page,
and at most `--keep-loaded` models stay in memory.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwc.commands.console import add_index_argument, expand_home, parse_count
from dwc.errors import DWCError
from dwc.memory import settle_collector

if TYPE_CHECKING:
    from dwc.gallery.builder import Progress
    from dwc.ui.indexing import GalleryIndexing

HELP = "serve the page: search pictures by a picture and words, and see why"

DEFAULT_KEEP_LOADED = "2"
DEFAULT_INDEX = "auto"


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
    add_index_argument(parser, "DWC_INDEX")
    parser.add_argument("--port", type=int, help="the port (the first free one from 7860)")
    parser.add_argument("--host", help="the address to listen at (127.0.0.1: this machine only)")
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="offer the search to language models too: serve MCP at /mcp (DWC_MCP=1)",
    )
    parser.add_argument(
        "--root-path",
        metavar="PATH",
        type=parse_root_path,
        help="the path of the page behind a proxy that removes it, such as /dwc, or the page's "
        "whole address (GRADIO_ROOT_PATH)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="write structured logs from this level on, one JSON object a line, without words and "
        "pictures",
    )
    parser.add_argument(
        "--log-queries",
        action="store_true",
        help="with --log-level: log the words and the gallery's pictures of searches, too",
    )
    parser.add_argument(
        "--metrics",
        action="store_true",
        help="serve metrics for Prometheus at /metrics (needs the extra: dwc[metrics])",
    )


def complete_from_environment(args: argparse.Namespace) -> argparse.Namespace:
    """Set omitted command-line arguments from environment variables, or to defaults.

    Returns:
        A copy of the arguments in which `models`, `keep_loaded`, `gallery`, `index` and `mcp` are
        set. An empty list of models means the bundled models.

    Raises:
        DWCError: An environment variable has an invalid value, or a package that is needed for MCP
            or metrics is missing.
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
    index = args.index or expand_home(os.environ.get("DWC_INDEX", "")) or DEFAULT_INDEX
    mcp = args.mcp or os.environ.get("DWC_MCP", "").lower() in ("1", "true")
    if mcp and find_spec("mcp") is None:
        raise DWCError("--mcp needs the package mcp. Install it: pip install 'dwc[mcp]'")
    if args.metrics and find_spec("prometheus_client") is None:
        raise DWCError(
            "--metrics needs the package prometheus-client. Install it: pip install 'dwc[metrics]'"
        )
    return argparse.Namespace(
        **{
            **vars(args),
            "models": models,
            "keep_loaded": keep_loaded,
            "gallery": gallery,
            "index": index,
            "mcp": mcp,
        }
    )


def split_models(names: str) -> list[str]:
    """Split the value of DWC_MODEL at commas and spaces, and return the names of the models.

    A value that is the path of a folder is one name, even if the path contains spaces.
    """
    if names and Path(names).expanduser().is_dir():
        return [names]
    return names.replace(",", " ").split()


def parse_model_count(text: str) -> int:
    """Parse a number of models, 1 or more.

    Raises:
        argparse.ArgumentTypeError: The text is not a whole number of 1 or more.
    """
    return parse_count(text, "no number of models, 1 or more")


def parse_root_path(text: str) -> str:
    """Parse the path or address at which the app is served.

    Examples are `/dwc` and `https://example.org/dwc`.

    Returns:
        The path or address without a slash at the end.

    Raises:
        argparse.ArgumentTypeError: The text is neither a path nor an address.
    """
    if not text.startswith(("/", "http://", "https://")) or any(c in text for c in '?# "<>'):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no path such as /dwc, and no address such as https://example.org/dwc"
        )
    return text.rstrip("/")


def run(args: argparse.Namespace) -> int:
    """Load the models, serve the web page until interrupted, and return the exit status."""
    args = complete_from_environment(args)
    configure_gradio()

    from dwc.gallery.search_index import check_index_name
    from dwc.ui.loading_server import answer_while_loading
    from dwc.ui.logs import configure_logs

    check_index_name(args.index)
    if args.log_level is not None:
        configure_logs(args.log_level)
    set_upload_folder()
    with ExitStack() as stack:
        with answer_while_loading(args.host, args.port) as port:
            from dwc.ui import zerogpu  # noqa: F401  # must be imported before torch
            from dwc.ui.indexing import GalleryIndexing

            indexing = GalleryIndexing()
            stack.callback(indexing.stop)
            page, options = _prepare(args, indexing, stack)
            settle_collector()
        page.launch(**{**options, "server_port": port})
    return 0


def _prepare(
    args: argparse.Namespace, indexing: "GalleryIndexing", stack: ExitStack
) -> tuple[Any, dict[str, Any]]:
    """Load the models and build the web page.

    Args:
        args: The return value of `complete_from_environment`.
        indexing: The object that indexes the gallery.
        stack: The exit stack. This function adds to it the functions to call when the app ends.

    Returns:
        The page (a `gr.Blocks`), and the keyword arguments for its method `launch`.
    """
    from dwc.ui.blocks import build_page
    from dwc.ui.gallery_images import StoreImages
    from dwc.ui.indexing import STOPPING_SECONDS
    from dwc.ui.monitoring import MonitoringOptions, add_monitoring
    from dwc.ui.panels.examples import choose_examples
    from dwc.ui.rest import add_program_access
    from dwc.ui.startup import (
        launch_options,
        list_bundled,
        open_meanwhile,
        open_models,
        serve_thumbnails,
    )

    monitoring = MonitoringOptions.from_args(args)
    names = args.models or list_bundled()
    models, store = open_models(
        names,
        args.gallery,
        partial(show_progress, several=len(names) > 1),
        args.keep_loaded,
        waits=bool(args.models),
        index=args.index,
        indexing=indexing,
    )
    images = StoreImages(store, indexing)
    serve_thumbnails(images)  # must come before the page is built, or Gradio copies the images
    page = build_page(models, images, choose_examples(images))
    options = launch_options(images, args.host, args.port)
    options["root_path"] = args.root_path
    observers = add_monitoring(page, options, models, images, monitoring)
    add_program_access(options, models, images, args.mcp, observers)
    thread = open_meanwhile(models, () if args.models else models.names, store, indexing)
    stack.callback(thread.join, STOPPING_SECONDS)
    stack.callback(indexing.stop)
    return page, options


def configure_gradio() -> None:
    """Turn off Gradio's analytics, unless environment variables already configure them.

    Call this function first: Gradio reads these variables on import or when it starts a queue.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Gradio keeps statistics of up to 10,000 events and recomputes them with pandas after every
    # event. This app does not use them.
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))


def set_upload_folder() -> None:
    """Create the folder for uploads, which the environment variable GRADIO_TEMP_DIR names.

    Only the user who runs the app can read a folder created here. If the variable is not set, it is
    set to a folder in this package's cache folder. Gradio's own default is a folder that is shared
    with other Gradio apps.
    """
    from dwc.gallery.walker import cache_folder

    folder = Path(os.environ.setdefault("GRADIO_TEMP_DIR", str(cache_folder() / "uploads")))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def show_progress(name: str, several: bool) -> Iterator["Progress"]:
    """Show progress on stderr while a model computes the vectors of the gallery's images.

    Args:
        name: The model's name.
        several: Whether there are several models. If so, the model's name is shown, too.

    Yields:
        The function to call with the number of finished images, the number of all images, and the
        estimated seconds left.
    """
    from dwc.commands.index import ProgressLine

    with ProgressLine(name if several else "") as line:
        yield line.show
