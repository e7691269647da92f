"""Entry point of the web app for Hugging Face Spaces; it does the same as `dwc app`.

Usage: python app.py [--model M]… [--gallery G] [--port P]
"""

import sys
from collections.abc import Sequence

from dwc import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page and return the exit code.

    Args:
        arguments: The arguments of `dwc app`; by default those of the process.
    """
    return cli.main(["app", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
