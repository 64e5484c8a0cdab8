"""`completion`: a script that completes the command line in a shell."""

import argparse
from collections.abc import Iterable

import shtab

from nasopt.cli.parser import Parser
from nasopt.samplers import SAMPLERS
from nasopt.training.devices import DEVICES

FILES, FOLDERS = ("STUDY", "DB", "FILE"), ("DIR",)  # by the names of arguments in the help
CHOICES = {"sampler": SAMPLERS, "samplers": SAMPLERS, "baseline": SAMPLERS, "device": DEVICES}


def completion(parser: Parser, verbs: Iterable[Parser], shell: str) -> str:
    """Return the script of `parser` for bash, zsh or fish; the parser is of no use after."""
    for action in (each for verb in verbs for each in verb._actions):
        _describe(action)
    return shtab.complete(parser, shell=shell)


def _describe(action: argparse.Action) -> None:
    """Say what an argument takes: files, folders, or one of a few names."""
    if action.metavar in FILES:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif action.metavar in FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif action.dest in CHOICES:
        action.choices = list(CHOICES[action.dest])
