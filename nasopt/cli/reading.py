"""The verbs that read databases and show what is in them."""

import argparse
import json
import shlex
import sys

from nasopt.errors import StudyError
from nasopt.text import several, visible


def show(args: argparse.Namespace) -> None:
    """Show the outcome of a study in DB, any of its trials, or the list of its studies."""
    from nasopt.analysis.outcome import load_study, outcome, result, scored_record
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
    for option in ("study", "trial", "why"):
        if args.studies and getattr(args, option) is not None:
            raise StudyError(f"--{option}: shows one study's; leave out --studies")
    if args.why is not None and args.trial is not None:
        raise StudyError("--trial: shows one trial, as does --why; leave out one of them")
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
        write_trials(args.csv, scored_record(study, args.metric))
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


def log(args: argparse.Namespace) -> None:
    """Write the trials of DB to TensorBoard or MLflow: parameters, curves by epoch, costs.

    Of what is there already nothing is written again.
    """
    from nasopt.reporting.terminal import display
    from nasopt.storage.opening import open_storage
    from nasopt.trackers import log_studies, make_tracker

    storage = open_storage(args.db, "read")
    tracker = make_tracker(args.to, args.output, args.uri)
    written = log_studies(storage, tracker, args.study)
    if args.json:
        display.print_json({"written": written})
        return
    out = display.console()
    for study, count in written.items():
        out.print(f"{study}: {several(count, 'trial')} written", soft_wrap=True)
    display.print_next(out, [(shlex.join(tracker.command), "look at them")], args.uri)
