"""The app, on one's own machine and as a Space: python app.py [--model M] [--gallery G].

The gallery is embedded at the first start and kept for the next, in DWC_CACHE, else in `dwc` under
XDG_CACHE_HOME or ~/.cache.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

FAILED = 2
INTERRUPTED = 130  # as shells report SIGINT


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what it leaves open comes from the environment."""
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Search pictures by a picture and words, and see why."
    )
    parser.add_argument(
        "--model",
        default=os.environ.get("DWC_MODEL") or None,
        help="a checkpoint's folder or Hub id, owner/name@revision (DWC_MODEL, or the bundled one)",
    )
    parser.add_argument(
        "--gallery",
        default=os.environ.get("DWC_GALLERY") or "catalogue",
        help="a folder of pictures, a dataset of the Hub, or: catalogue (DWC_GALLERY, catalogue)",
    )
    parser.add_argument("--port", type=int, help="the port (the first free one from 7860)")
    parser.add_argument("--host", help="the address to listen at (127.0.0.1: this machine only)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, build the page, serve it until interrupted; 2 for what cannot be loaded or served."""
    args = parse(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    from dwc import checkpoint
    from dwc.commands.index import ProgressLine
    from dwc.errors import DWCError
    from dwc.search.searcher import Searcher
    from dwc.ui import devices  # before anything that imports torch
    from dwc.ui.examples import choose_examples
    from dwc.ui.opening import open_gallery
    from dwc.ui.page import build_page
    from dwc.ui.serving import launch_options, serve_thumbnails
    from dwc.ui.store_pictures import StorePictures
    from dwc.ui.toolbar import origin_of

    try:
        loaded = checkpoint.load(args.model)
        devices.place_for_embedding(loaded.model)
        with ProgressLine() as line:
            store = open_gallery(args.gallery, loaded, line.show)
        searcher, pictures = Searcher(loaded, store), StorePictures(store)
        page = build_page(searcher, pictures, origin_of(searcher), choose_examples(pictures))
        devices.place_for_serving(searcher)
        serve_thumbnails(pictures)
        page.launch(**launch_options(pictures, args.host, args.port))
    except (DWCError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
