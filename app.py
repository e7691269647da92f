"""Entry point of the web app for Hugging Face Spaces; equivalent to the command `dwc app`.

Usage: python app.py [--model M]… [--gallery G] [--port P]
"""

import sys
from collections.abc import Sequence

from dwc import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `dwc app`, which serves the web app, and return its exit code.

    Args:
        arguments: The arguments of `dwc app`; None for the command-line arguments of this process.
    """
    return cli.main(["app", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
