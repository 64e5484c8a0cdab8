"""The command line: its verbs by name, and `main`, which runs one of them.

A verb is a short function; what takes time to import is imported there.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from nasopt.cli.guarding import guarded
from nasopt.cli.modelling import finals, init, predict, reproduce
from nasopt.cli.options import Verb, make_parser
from nasopt.cli.parser import complain
from nasopt.cli.reading import dashboard, log, report, show
from nasopt.cli.searching import compare, describe, noise, run
from nasopt.errors import closest


def quickstart(args: argparse.Namespace) -> None:
    """Go through the lecture in under three minutes: a space, random sampling against TPE."""
    from nasopt.cli import quickstart as lecture

    lecture.quickstart(args.storage, args.device, args.json)


def checks(args: argparse.Namespace) -> None:
    """Tell what is here: versions, devices, threads, bf16, storage, and what extras lack."""
    from nasopt.cli import checks as here
    from nasopt.reporting.terminal import display

    found = here.checks()
    if args.json:
        display.print_json(found)
    else:
        here.print_checks(display.console(), found)


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        quickstart,
        init,
        describe,
        noise,
        run,
        compare,
        finals,
        predict,
        reproduce,
        show,
        report,
        dashboard,
        log,
        checks,
    )
}


ENVIRONMENT = {  # of options that are set for this process and those it starts
    "data_dir": "NASOPT_DATA",
    "checkpoints": "NASOPT_CHECKPOINTS",
    "patience": "NASOPT_PATIENCE",
}
KEEP = ("quickstart", "noise", "run", "compare", "finals")  # what they have trained
TRAIN = (*KEEP, "reproduce")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0 if all is done, 2 for an error that the user can fix, and 130, 138, 141 or 143 after
    Ctrl-C, SIGUSR1, a closed pipe or SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a study's name may have letters that it lacks
    words = list(sys.argv[1:] if argv is None else argv)
    parser, verbs = make_parser(VERBS)
    if not words:
        parser.print_help()
        return 0
    if not words[0].startswith("-") and words[0] not in verbs:
        complain(f"{words[0]}: unknown verb; {closest(words[0], verbs)}")
        return 2
    known, unknown = parser.parse_known_args(words)
    if unknown:
        sub = verbs[known.verb] if known.verb else parser
        if known.verb and words.index(unknown[0]) < words.index(known.verb):
            complain(f"{unknown[0]}: write it after the verb, nasopt {known.verb} {unknown[0]} ...")
            return 2
        sub.error(f"unrecognized arguments: {' '.join(unknown)}")
    if known.print_completion:
        from nasopt.cli.completion import completion

        print(completion(parser, verbs.values(), known.print_completion))
        return 0
    return guarded(lambda: _call(known), trains=known.verb in TRAIN, goes_on=known.verb in KEEP)


def _call(args: argparse.Namespace) -> None:
    """Call the verb, with the options that its worker processes have from the environment."""
    given = {name: value for name, value in vars(args).items() if value is not None}
    if "patience" in given:
        from nasopt.search.deadline import read_seconds

        given["patience"] = str(read_seconds(args.patience, "patience"))
    for option, name in ENVIRONMENT.items():
        if option in given:
            os.environ[name] = given[option]
    if args.verb not in TRAIN:
        args.function(args)
        return
    from nasopt.storage.patience import waiting_for_servers

    with waiting_for_servers():
        args.function(args)
