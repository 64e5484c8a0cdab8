"""A parser of the command line whose errors are one line."""

import argparse
import sys
from typing import Any, NoReturn

from nasopt.errors import closest
from nasopt.text import visible


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line and name the closest word."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: --"):
            option = message.split(": ")[1].split()[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            message = f"{option}: unknown; {closest(option, known)}"
        else:
            message = f"{message.removeprefix('argument ')}; see {self.prog} --help"
        complain(message)
        sys.exit(2)


def complain(message: str) -> None:
    """Print a line for the user on stderr, without the passwords of the URLs in it."""
    if ":/" in message:
        from nasopt.storage.database import without_passwords  # its imports take time

        message = without_passwords(message)
    print(f"nasopt: {visible(message)}", file=sys.stderr)
