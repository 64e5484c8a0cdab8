"""`python -m nasopt` is `nasopt`."""

import sys

from nasopt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
