"""The page's entry point, as Spaces run it: python app.py [--model M]… [--gallery G] [--port P].

The same as `dwc app`.
"""

import sys
from collections.abc import Sequence

from dwc import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page; `arguments` are those of `dwc app`, by default the command line's."""
    return cli.main(["app", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
