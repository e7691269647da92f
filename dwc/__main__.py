"""Entry point of `python -m dwc COMMAND`."""

import sys

from dwc.cli import main

if __name__ == "__main__":
    sys.exit(main())
