"""The options of the command line, verb by verb."""

import argparse
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from nasopt.cli.examples import EXAMPLES
from nasopt.cli.parser import Parser
from nasopt.text import GOES_ON

Verb = Callable[[argparse.Namespace], None]
BESIDE_THE_STUDY = "runs/<name of the study file>.db"


def make_parser(verbs: Mapping[str, Verb]) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of `verbs`, whose docstrings are their help, and the parser of each."""
    parser = Parser(
        prog="nasopt",
        description="Neural architecture search for convolutional networks, on Optuna.",
        epilog="Begin with: nasopt quickstart",
    )
    parser.add_argument("--version", action="version", version=f"nasopt {version('nasopt')}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh", "fish"),
        help="print a script that completes the command line in that shell",
    )
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", title="verbs")
    made: dict[str, Parser] = {}
    for name, verb in verbs.items():
        text = str(verb.__doc__)
        made[name] = sub = subparsers.add_parser(
            name,
            help=text.splitlines()[0],
            description="\n".join(line.removeprefix("    ") for line in text.splitlines()),
            epilog="examples:\n" + "\n".join(f"  {example}" for example in EXAMPLES[name]),
        )
        sub.set_defaults(function=verb)
        sub.add_argument("--json", action="store_true", help="print JSON, for machines")
        OPTIONS[name](sub)
    return parser, made


def _study(sub: Parser, either: Any = None) -> None:
    text = "a study file, as in studies/digits.py"
    place = either or sub  # of two ways to name what is meant
    place.add_argument("study", metavar="STUDY", nargs="?" if either else None, help=text)
    sub.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where data sets are downloaded to (default: $NASOPT_DATA, else a cache folder)",
    )


def _device(sub: Parser, *, several: bool = False) -> None:
    sub.add_argument(
        "--device",
        default="auto",
        help="auto (default: cuda, else mps, else cpu), or one of them, cuda:1 say"
        + (", or several, cuda:0,cuda:1" if several else ""),
    )


def _workers(sub: Parser, work: str) -> None:
    sub.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help=f"{work}; at most one a core and one a GPU, and one that is killed is replaced "
        "(default: 1, or one for each device that is named)",
    )
    sub.add_argument(
        "--workers-per-gpu", type=int, metavar="K", help="train K at once on each GPU (default: 1)"
    )
    sub.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        metavar="ADDRESS",
        help="let Ray place the workers on the nodes of the cluster at HOST:PORT (default: of "
        "RAY_ADDRESS, else of this machine), by default as many as there is room for; with several "
        "nodes --storage has to be a PostgreSQL server",
    )
    sub.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="G",
        help="with --ray: 0.5 puts two on each GPU (default: 1, or 0 where there are none)",
    )
    sub.add_argument(
        "--cpus-per-worker", type=int, metavar="C",
        help="with --ray: the cores, and threads, of each worker (default: 1)",
    )  # fmt: skip


def _time(sub: Parser, begun: str) -> None:
    sub.add_argument(
        "--time",
        metavar="T",
        help="a budget of time, as 90m, 2h30m, 45s or a number of seconds: " + begun,
    )


def _storage(sub: Parser, default: str = BESIDE_THE_STUDY) -> None:
    sub.add_argument(
        "--storage",
        metavar="DB",
        help=f"path of a database or SQLAlchemy URL (default: {default})",
    )


def _sharing(sub: Parser) -> None:
    sub.add_argument(
        "--checkpoints",
        metavar="DIR",
        help="a folder of checkpoints that all hosts share (default: $NASOPT_CHECKPOINTS, else "
        "beside the database file; of a server in this folder)",
    )
    sub.add_argument(
        "--patience",
        metavar="T",
        help="wait so long for a PostgreSQL server that goes away (default: $NASOPT_PATIENCE, else "
        "10m; a worker that gives no sign for $NASOPT_TAKEOVER, else 120 s, loses its trial)",
    )


def _quickstart(sub: Parser) -> None:
    _storage(sub, "runs/quickstart.db")
    _device(sub)


def _init(sub: Parser) -> None:
    sub.add_argument("folder", metavar="FOLDER", help="a folder of pictures")
    sub.add_argument(
        "-o",
        "--output",
        metavar="STUDY",
        help="the study file to write (default: the folder's name, with .py, in this folder)",
    )
    sub.add_argument(
        "--size", type=int, metavar="N", help="pixels of a side (default: what suits the pictures)"
    )
    _device(sub)


def _describe(sub: Parser) -> None:
    _study(sub)
    _device(sub)


def _noise(sub: Parser) -> None:
    _study(sub)
    sub.add_argument("--architectures", type=int, default=8, metavar="N", help="default: 8")
    sub.add_argument("--seeds", type=int, default=3, metavar="K", help="default: 3")
    _storage(sub)
    _sharing(sub)
    _device(sub)


def _run(sub: Parser) -> None:
    _study(sub)
    sub.add_argument(
        "--sampler",
        default="surrogate",
        help="surrogate (default), tpe, tpe-univariate, gp, nsga2, evolution, local, random, "
        "largest, one-epoch",
    )
    sub.add_argument("--seed", type=int, default=0, help="of the sampler (default: 0)")
    sub.add_argument(
        "--warm-start",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="DB[,DB...]",
        help="begin with what earlier searches of this space have seen, on other data or with "
        "fewer epochs, say",
    )
    sub.add_argument(
        "--trials", type=int, metavar="N", help="the total to reach (default: the study file's)"
    )
    _time(
        sub,
        f"no trial begins that would not end in time, and {GOES_ON} (each trial is reproducible; "
        "their number then is not, nor which ones the surrogate tries, since it weighs what a "
        "network may gain against the seconds of its training)",
    )
    _storage(sub)
    _sharing(sub)
    _device(sub, several=True)
    _workers(
        sub,
        "train so many networks at once, each with its share of the cores: sooner done, but "
        "no longer the same search each time",
    )
    sub.add_argument(
        "--finals",
        action="store_true",
        help="go on with nasopt finals; of --time as much is kept back as its trainings take",
    )
    sub.add_argument(
        "--profile",
        action="store_true",
        help="print what the time of each trial goes into (a GPU then waits at each part, "
        "and replays no recorded steps)",
    )


def _compare(sub: Parser) -> None:
    either = sub.add_mutually_exclusive_group(required=True)
    _study(sub, either)
    either.add_argument(
        "--benchmark",
        metavar="NAME",
        help="a table of results instead: nasbench201:cifar10, nasbenchmacro:PATH.json, "
        "ledger:DB, or the path of a table of your own (CSV, JSON, Parquet)",
    )
    either.add_argument(
        "--studies", metavar="NAMES", help="finished studies of --storage, names or patterns"
    )
    sub.add_argument(
        "--samplers",
        metavar="A,B",
        help="names, or all (default: random,largest,one-epoch,tpe,surrogate)",
    )
    sub.add_argument("--baseline", default="random", metavar="NAME", help="default: random")
    sub.add_argument("--seeds", type=int, metavar="K", help="studies by each (default: 5)")
    sub.add_argument(
        "--trials", type=int, metavar="N", help="of a study (default: the study file's, else 50)"
    )
    sub.add_argument(
        "--epochs-budget",
        type=int,
        metavar="E",
        help="end a study by its epochs, as if trained, instead",
    )
    sub.add_argument(
        "--replicates",
        type=int,
        default=3,
        metavar="R",
        help="train winners again with so many other seeds (default: 3)",
    )
    _time(
        sub,
        f"no training begins that would not end in time, and {GOES_ON} until there is something "
        "to compare",
    )
    sub.add_argument("--analyse-only", action="store_true", help="train nothing")
    sub.add_argument("--csv", metavar="FILE", help="write a row an evaluation")
    _storage(sub, f"{BESIDE_THE_STUDY}, or of the benchmark")
    _sharing(sub)
    _device(sub, several=True)
    _workers(sub, "run so many studies at once, each with its share of the cores")


def _finals(sub: Parser) -> None:
    sub.add_argument(
        "what",
        metavar="STUDY|DB",
        help="a study file that was run, or a database (of images that come by a name)",
    )
    sub.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where data sets are downloaded to (default: $NASOPT_DATA, else a cache folder)",
    )
    sub.add_argument("--study", metavar="NAME", help="one study alone (default: all together)")
    sub.add_argument(
        "--top", type=int, default=5, metavar="N", help="networks to train again (default: 5)"
    )
    sub.add_argument(
        "--seeds", type=int, default=3, metavar="K", help="trainings of each network (default: 3)"
    )
    sub.add_argument(
        "--epochs", type=int, metavar="E", help="of a final training (default: the recipe's)"
    )
    sub.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="where the model goes (default: <name of the study>-model)",
    )
    _time(sub, f"no training begins that would not end in time, and {GOES_ON}")
    _storage(sub)
    _sharing(sub)
    _device(sub)


def _folder(sub: Parser) -> None:
    sub.add_argument("folder", metavar="FOLDER", help="of a model, as nasopt finals writes it")


def _blocks(sub: Parser) -> None:
    sub.add_argument(
        "--blocks", metavar="FILE", help="the study file that defines blocks of the network"
    )


def _predict(sub: Parser) -> None:
    _folder(sub)
    sub.add_argument("pictures", metavar="PICTURE", nargs="+", help="a file, folder, pattern or -")
    sub.add_argument("--top", type=int, default=3, metavar="K", help="classes (default: 3)")
    sub.add_argument("--csv", action="store_true", help="print CSV, a row a picture and class")
    _blocks(sub)
    _device(sub)


def _reproduce(sub: Parser) -> None:
    _folder(sub)
    sub.add_argument(
        "--data", metavar="DIR", help="the folder of the images (default: where they were)"
    )
    _blocks(sub)
    _device(sub)


def _db(sub: Parser) -> None:
    sub.add_argument("db", metavar="DB", help="path of a database or SQLAlchemy URL")


def _metric(sub: Parser) -> None:
    sub.add_argument(
        "--metric",
        metavar="M",
        help="score by accuracy, balanced_accuracy or macro_f1 (default: that of the search); "
        "nothing is trained",
    )


def _show(sub: Parser) -> None:
    _db(sub)
    _metric(sub)
    sub.add_argument("--study", metavar="NAME", help="default: the one that was begun last")
    sub.add_argument("--trial", type=int, metavar="N", help="the network of trial N")
    sub.add_argument(
        "--why", type=int, metavar="N", help="what the surrogate expected of trial N, and why"
    )
    sub.add_argument("--studies", action="store_true", help="list the studies")
    sub.add_argument(
        "--csv", metavar="FILE", help="write the trials of the study as a table, a row a trial"
    )


def _report(sub: Parser) -> None:
    _db(sub)
    _metric(sub)
    sub.add_argument(
        "--study",
        metavar="NAME",
        help="one study alone (default: all of the experiment that was begun last)",
    )
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="default: report.html; -: standard output",
    )


def _dashboard(sub: Parser) -> None:
    _db(sub)
    sub.add_argument("--port", type=int, default=8080, metavar="P", help="default: 8080; 0: any")
    sub.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen (default: 127.0.0.1, this machine alone; there is no password)",
    )
    sub.add_argument("--read-only", action="store_true", help="let nobody change anything")
    sub.add_argument(
        "--artifact-dir",
        metavar="DIR",
        help="a folder for files: the best network of each study, and what is uploaded",
    )
    sub.add_argument("--no-browser", action="store_true", help="print the address, open nothing")


def _log(sub: Parser) -> None:
    _db(sub)
    sub.add_argument("--to", choices=("tensorboard", "mlflow"), required=True, help="where to")
    sub.add_argument("--study", metavar="NAME", help="one study alone (default: all of them)")
    sub.add_argument(
        "-o", "--output", metavar="DIR", help="the folder of tensorboard (default: tensorboard)"
    )
    sub.add_argument(
        "--uri", help="of the server or database of mlflow (default: $MLFLOW_TRACKING_URI)"
    )


def _checks(sub: Parser) -> None:
    """Add nothing: it has the options of every verb."""


OPTIONS: dict[str, Callable[[Parser], None]] = {
    "quickstart": _quickstart,
    "init": _init,
    "describe": _describe,
    "noise": _noise,
    "run": _run,
    "compare": _compare,
    "finals": _finals,
    "predict": _predict,
    "reproduce": _reproduce,
    "show": _show,
    "report": _report,
    "dashboard": _dashboard,
    "log": _log,
    "checks": _checks,
}
