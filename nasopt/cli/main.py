"""The command line: one short function a verb. What takes time to import is imported there."""

import argparse
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from nasopt.cli.options import Verb, complain, make_parser
from nasopt.errors import Error, StudyError, closest
from nasopt.text import GOES_ON, visible

if TYPE_CHECKING:
    from nasopt.search.comparison import Comparison
    from nasopt.search.deadline import Deadline
    from nasopt.search.search import Search


def quickstart(args: argparse.Namespace) -> None:
    """Go through the lecture in under three minutes: a space, random sampling against TPE."""
    from nasopt.cli import quickstart as lecture

    lecture.quickstart(args.storage, args.device, args.json)


def init(args: argparse.Namespace) -> None:
    """Look at the pictures in FOLDER and write a study file that fits them and this machine.

    FOLDER has a sub-folder for each class; or train, val and test in it have. Nothing is ever
    overwritten.
    """
    from nasopt.reporting.commands import command
    from nasopt.reporting.prospects import findings, prospects
    from nasopt.reporting.study_file import make_study, study_name
    from nasopt.reporting.terminal import display

    output = args.output or study_name(args.folder)
    proposal = make_study(args.folder, output, size=args.size, device=args.device)
    if args.json:
        display.print_json({"output": output, **proposal.to_json()})
        return
    out = display.console()
    for sentence in (*findings(proposal.survey), *prospects(proposal)):
        out.print(sentence)
    out.print()
    out.print(f"Written: {output}", soft_wrap=True)
    display.print_next(
        out,
        [
            (command("run", output), f"search: {proposal.experiment.trials} trials"),
            (command("describe", output), "the space in numbers"),
        ],
    )


def describe(args: argparse.Namespace) -> None:
    """Describe the space of STUDY: parameters, size, ranges of cost, seconds per trial here."""
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import display
    from nasopt.search.describe import describe
    from nasopt.search.experiment import load_experiment

    experiment = load_experiment(args.study)
    description = describe(experiment, args.device)
    if args.json:
        display.print_json(description.to_json())
        return
    out = display.console()
    display.print_description(out, experiment.name, description)
    display.print_next(
        out,
        [
            (same("noise", args), "what one training can tell, before the budget is spent"),
            (same("run", args), f"search: {experiment.trials} trials"),
        ],
    )


def noise(args: argparse.Namespace) -> None:
    """Measure how much of what a search of STUDY sees is architecture, and how much is luck.

    Trains a few random networks with a few training seeds each. The trainings are kept in the
    database: asking again costs nothing.
    """
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import display
    from nasopt.search.experiment import load_experiment
    from nasopt.search.noise import NoiseStudy

    experiment = load_experiment(args.study)
    study = NoiseStudy(
        experiment,
        args.storage,
        args.device,
        architectures=args.architectures,
        seeds=args.seeds,
    )
    display.follow_noise(display.console(stderr=args.json), study)
    if args.json:
        display.print_json(study.noise.to_json())
        return
    out = display.console()
    display.print_noise(out, study.noise, experiment.metric)
    display.print_next(out, [(same("run", args), "search")], args.storage)


def run(args: argparse.Namespace) -> None:
    """Run a study to its end, or go on with it where it was left.

    Ctrl-C stops within a batch; the same command goes on. If nothing is left to do, it shows the
    outcome.
    """
    from nasopt.analysis.outcome import result
    from nasopt.reporting.commands import command, same
    from nasopt.reporting.terminal import display, results
    from nasopt.search.processes import share_cores, worker_processes
    from nasopt.storage.counts import ended_trials

    if args.profile and args.workers > 1:
        raise StudyError("--profile: of one worker; leave out --workers")
    args.deadline = _deadline(args.time)
    workers = share_cores(args.workers)
    search = _search(args)
    if args.finals:
        from nasopt.cli.finals import check_place

        check_place(search.experiment)
    ended = partial(ended_trials, search.storage)
    with worker_processes(_assist_search, args, min(workers, search.left), ended):
        spent = display.follow_search(display.console(stderr=args.json), search)
    found = result(search.study)
    if args.finals:
        from nasopt.cli.finals import finals_after

        finals_after(search, args)
        return
    if args.json:
        profile = {"profile": spent} if args.profile else {}
        time = {"out_of_time": search.out_of_time} if args.time else {}
        display.print_json(found.to_json() | profile | time)
        return
    out = display.console()
    display.print_ended(out, search)
    if spent:
        display.print_profile(out, spent)
    results.print_result(out, found)
    other = "random" if args.sampler.lower() != "random" else "surrogate"
    location = search.evaluator.location
    display.print_next(
        out,
        [
            (same("finals", args), "the best networks trained again, the first tested and written"),
            (command("show", location, "--trial", "N"), "any trial"),
            (same("run", args, "--sampler", other), "the same search by another sampler"),
            (command("dashboard", location), "browse it"),
        ],
        args.storage,
    )


def _deadline(time: str | None) -> "Deadline":
    """Return the deadline of --time, which counts from here."""
    from nasopt.search.deadline import Deadline, read_seconds

    return Deadline.after(None if time is None else read_seconds(time))


def _search(args: argparse.Namespace) -> "Search":
    from nasopt.reporting.notes import TrialNotes
    from nasopt.search.experiment import load_experiment
    from nasopt.search.search import Search

    experiment, deadline = load_experiment(args.study), args.deadline
    callbacks: list[Any] = [TrialNotes()]
    if args.finals:
        from nasopt.models.finals import SEEDS, TOP
        from nasopt.models.pace import KeptBack, TimeForFinals

        kept = TimeForFinals(experiment, TOP, SEEDS)
        deadline = KeptBack.before(deadline, kept)
        callbacks.append(kept)
    search = Search(
        experiment,
        sampler=args.sampler,
        seed=args.seed,
        storage=args.storage,
        trials=args.trials,
        device=args.device,
        profile=args.profile,
        deadline=deadline,
        callbacks=callbacks,
    )
    if args.finals:
        kept(search.study)
    return search


def _assist_search(args: argparse.Namespace) -> int:
    """Run the search as a further worker, in a process of its own; return its exit code."""
    from nasopt.reporting.terminal import display

    out = display.console(stderr=args.json)
    return _guarded(lambda: display.assist_search(out, _search(args)))


def compare(args: argparse.Namespace) -> None:
    """Compare samplers: run studies by several of them and seeds, and tell which is better.

    Runs the studies of STUDY that are missing, trains their winners again with other seeds, and
    tells what can be told. On a --benchmark all results are known beforehand, and winners are
    judged by the mean over replicates. With --analyse-only, or --studies of a database, nothing is
    trained. Ctrl-C stops within a batch; the same command goes on.
    """
    from nasopt.analysis.curves import csv_output, write_csv
    from nasopt.analysis.selection import compare_studies
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import comparison as scoreboard
    from nasopt.reporting.terminal import display
    from nasopt.search.processes import share_cores, worker_processes
    from nasopt.storage.counts import ended_trials

    if args.csv is not None:
        csv_output(args.csv).check()
    args.deadline = _deadline(args.time)
    workers = share_cores(args.workers)
    if args.studies is not None:
        if not args.storage:
            raise StudyError("--studies: of which database? name it with --storage")
        for name in _given(args):
            option = name.replace("_", "-")
            raise StudyError(f"--{option}: --studies are compared as they are; leave it out")
        result = compare_studies(
            args.storage, args.studies, replicates=args.replicates, baseline=args.baseline
        )
    else:
        comparison = _comparison(args)
        ended = partial(ended_trials, comparison.storage)
        with worker_processes(_assist_comparison, args, min(workers, comparison.left), ended):
            scoreboard.follow_comparison(display.console(stderr=args.json), comparison)
        if comparison.out_of_time:
            if args.json:
                display.print_json({"out_of_time": comparison.out_of_time})
            else:
                scoreboard.print_out_of_time(display.console(), comparison)
            return
        result = comparison.result
    if args.csv is not None:
        write_csv(args.csv, result.rows)
    if args.json:
        display.print_json(result.to_json())
        return
    out = display.console()
    scoreboard.print_comparison(out, result)
    verbs = ("noise", "compare") if args.study else ("compare",) if args.benchmark else ()
    again = {verb: same(verb, args) for verb in verbs}
    location = args.storage or comparison.location
    commands = scoreboard.next_commands(result, str(location), again)
    display.print_next(out, commands, args.storage, args.benchmark)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options given on the command line that say which studies to run, by name."""
    names = ("samplers", "seeds", "trials", "epochs_budget")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _comparison(args: argparse.Namespace) -> "Comparison":
    from nasopt.reporting.notes import TrialNotes
    from nasopt.search.comparison import Comparison
    from nasopt.search.experiment import Experiment, load_experiment

    experiment = (
        Experiment.on_benchmark(args.benchmark)
        if args.benchmark is not None
        else load_experiment(args.study)
    )
    return Comparison(
        experiment, storage=args.storage, device=args.device, analyse_only=args.analyse_only,
        replicates=args.replicates, baseline=args.baseline, deadline=args.deadline,
        callbacks=[TrialNotes()], **_given(args),
    )  # fmt: skip


def _assist_comparison(args: argparse.Namespace) -> int:
    from nasopt.reporting.terminal import comparison as scoreboard
    from nasopt.reporting.terminal import display

    out = display.console(stderr=args.json)
    return _guarded(lambda: scoreboard.assist_comparison(out, _comparison(args)))


def finals(args: argparse.Namespace) -> None:
    """Turn a finished search into a tested model: re-rank, train finally, test once.

    Trains the best networks of STUDY.py, or of the database DB, again with fresh seeds, and the
    first of them on training and validation images together, beside reference networks. Then looks
    at the test split, once, and says whether the search was worth it. Ctrl-C stops within a batch;
    the same command goes on.
    """
    from nasopt.cli import finals as stages

    stages.finals(args, _deadline(args.time))


def show(args: argparse.Namespace) -> None:
    """Show the outcome of a study in DB, any of its trials, or the list of its studies."""
    from nasopt.analysis.outcome import load_study, outcome, result
    from nasopt.analysis.record import Record
    from nasopt.analysis.studies import study_summaries
    from nasopt.analysis.tables import write_trials
    from nasopt.analysis.why import Why
    from nasopt.reporting.commands import command
    from nasopt.reporting.terminal import display, results
    from nasopt.storage.opening import open_storage

    if args.metric is not None and (args.studies or args.why is not None):
        other = "--studies" if args.studies else "--why"
        raise StudyError(f"--metric: scores one study's networks anew; leave out {other}")
    if args.studies and args.csv is not None:
        raise StudyError("--csv: a table of the trials of one study; leave out --studies")
    storage = open_storage(args.db, "read")
    out = display.console()
    if args.studies:
        summaries = study_summaries(storage)
        if not summaries:
            load_study(storage)  # says that there is none
        if args.json:
            display.print_json([each.to_json() for each in summaries])
        else:
            results.print_studies(out, summaries)
        return
    study = load_study(storage, args.study)
    if args.csv is not None:
        write_trials(args.csv, Record.of(study))
    if args.why is not None:
        why = Why.of(study, args.why)
        if args.json:
            display.print_json(why.to_json())
        else:
            results.print_why(out, why)
        return
    if args.trial is not None:
        trial = outcome(study, args.trial, args.metric)
        if args.json:
            display.print_json(trial.to_json())
        else:
            results.print_outcome(out, trial)
        return
    found = result(study, args.metric)
    if args.json:
        display.print_json(found.to_json())
        return
    results.print_result(out, found)
    listing = command("show", args.db, "--studies")
    display.print_next(out, [(listing, "the studies of this database")], args.db)


def report(args: argparse.Namespace) -> None:
    """Write the results of the studies in DB as one HTML page that opens anywhere, offline too."""
    from nasopt.reporting.html import write_report
    from nasopt.reporting.terminal import display
    from nasopt.storage.opening import open_storage

    if args.output == "-":
        write_report(open_storage(args.db, "read"), "/dev/stdout", args.study, args.metric)
        return
    size = write_report(open_storage(args.db, "read"), args.output, args.study, args.metric)
    if args.json:
        display.print_json({"output": args.output, "bytes": size})
        return
    display.console().print(
        f"{args.output}: {size / 1e6:.1f} MB; open it in a browser", soft_wrap=True
    )


def dashboard(args: argparse.Namespace) -> None:
    """Browse the studies of DB with optuna-dashboard, notes and plots filled in; Ctrl-C ends it.

    It listens on this machine alone and has no password. Its pages can change and delete studies,
    unless it is --read-only. Looking on while a study runs disturbs nothing.
    """
    from nasopt.reporting.dashboard import Dashboard, open_browser

    opened = Dashboard(
        args.db,
        host=args.host,
        port=args.port,
        read_only=args.read_only,
        artifact_dir=args.artifact_dir,
    )
    if args.json:
        print(json.dumps({"url": opened.url, "read_only": opened.read_only}), flush=True)
        print(*map(visible, opened.warnings), sep="\n", end="", file=sys.stderr)
    else:
        print(*map(visible, opened.notice), sep="\n", flush=True)
    if not args.no_browser:
        open_browser(opened.url)
    opened.serve()


def predict(args: argparse.Namespace) -> None:
    """Say what PICTUREs show, by the model in FOLDER.

    A PICTURE is a file, a folder or a pattern; - reads a list from standard input, a name a line.
    If a folder has sub-folders named after the classes, the model is scored on their pictures. A
    file that is no picture is told and left out, and the exit code is then 2.
    """
    from nasopt.cli import predictions

    predictions.predict(args)


def reproduce(args: argparse.Namespace) -> None:
    """Train the model in FOLDER again and say whether the figures agree.

    They do bit for bit where the device, torch and the number of threads are the same.
    """
    from nasopt.models.reproducing import Reproducing
    from nasopt.reporting.terminal import display

    again = Reproducing(args.folder, data=args.data, device=args.device)
    epochs = again.training.recipe.epochs
    display.follow_epochs(display.console(stderr=args.json), again, epochs)
    if args.json:
        display.print_json(again.result.to_json())
    else:
        display.console().print(again.result.verdict)


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
    )
}


TRAIN = ("quickstart", "noise", "run", "compare", "finals")


class _Lines(logging.Handler):
    """A handler that prints what the library logs as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(record.getMessage())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0 if all is done, 2 for an error that the user can fix, and 130, 141 or 143 after Ctrl-C,
    a closed pipe or SIGTERM.
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
        sub.error(f"unrecognized arguments: {' '.join(unknown)}")
    if getattr(known, "data_dir", None):
        os.environ["NASOPT_DATA"] = known.data_dir
    return _guarded(lambda: known.function(known), trains=known.verb in TRAIN)


def _guarded(command: Callable[[], None], *, trains: bool = False) -> int:
    """Run `command`, print an error that a user can fix as one line, and return the exit code."""
    handler = _Lines()
    logging.getLogger("nasopt").addHandler(handler)
    try:
        _quieten_optuna()
        command()
    except Error as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt as interrupted:
        signum = getattr(interrupted, "signum", 2)
        complain(f"{str(interrupted) or 'stopped'}; {GOES_ON}")
        return 128 + int(signum)
    except BrokenPipeError:  # `nasopt show DB | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if trains:
            complain(f"stopped: nothing reads the output any more; {GOES_ON}")
            return 128 + signal.SIGPIPE
    finally:
        logging.getLogger("nasopt").removeHandler(handler)
    return 0


def _quieten_optuna() -> None:
    """Silence the logs of libraries that would disturb the output.

    Optuna's, of each new study, would stand among the tables. SQLAlchemy's has a traceback for
    each connection that a server has ended; the error that ends the command says so in a line.
    """
    import optuna

    for driver in ("sqlalchemy.pool", "psycopg"):  # of what a lost connection left unfinished
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
