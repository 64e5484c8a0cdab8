"""`nasopt finals`, and the end of `nasopt run --finals`: the stages gone through and printed."""

import argparse

from nasopt.errors import StudyError
from nasopt.models.final_folder import check_folder, usual_folder
from nasopt.models.finals import Finals, check_trained_here
from nasopt.models.pace import KeptBack
from nasopt.reporting.commands import command
from nasopt.reporting.terminal import display
from nasopt.reporting.terminal import finals as tables
from nasopt.search.deadline import Deadline
from nasopt.search.experiment import Experiment
from nasopt.search.loading import load_experiment
from nasopt.search.search import Search
from nasopt.space.space import Space
from nasopt.text import done_of


def finals(args: argparse.Namespace, deadline: Deadline) -> None:
    """Go through the finals of a study file, or of a database."""
    is_file = args.what.endswith(".py")
    if args.storage is not None and not is_file:
        raise StudyError(f"--storage: {args.what} is a database itself; leave it out")
    stages = Finals(
        load_experiment(args.what) if is_file else None,
        storage=args.storage if is_file else args.what,
        study=args.study, top=args.top, seeds=args.seeds, epochs=args.epochs, output=args.output,
        deadline=deadline, device=args.device,
    )  # fmt: skip
    _follow(args, stages)


def check_place(experiment: Experiment) -> None:
    """Raise ModelError, before anything is trained, if a final model has no place to go."""
    check_trained_here(experiment)
    check_folder(usual_folder(experiment.name), experiment.data.fingerprint)


def finals_after(search: Search, args: argparse.Namespace) -> None:
    """Go on from a search to its finals."""
    out = display.console(stderr=args.json)
    if search.out_of_time and isinstance(search.deadline, KeptBack):
        done = done_of(search.standing.done, search.trials)
        tables.print_kept_back(out, f"{done}, {search.out_of_time}", search.deadline.kept.seconds)
    else:
        display.print_ended(out, search)
    stages = Finals(
        search.experiment, storage=search.evaluator.location, study=search.study.study_name,
        deadline=args.deadline, device=args.device,
    )  # fmt: skip
    _follow(args, stages)


def _follow(args: argparse.Namespace, stages: Finals) -> None:
    """Go through the stages, and print what became of them."""
    tables.follow_finals(display.console(stderr=args.json), stages)
    if stages.out_of_time:
        if args.json:
            display.print_json({"out_of_time": stages.out_of_time})
        else:
            display.print_out_of_time(display.console(), stages.deadline, f"{stages.out_of_time}.")
        return
    if args.json:
        display.print_json(stages.result.to_json())
        return
    out = display.console()
    out.print()
    tables.print_finals(out, stages.result)
    display.print_next(
        out,
        [
            (command(*_predict(args, stages)), "what it says of a picture"),
            (command("report", stages.location), "all of it as a page"),
        ],
        stages.location,
    )


def _predict(args: argparse.Namespace, stages: Finals) -> list[object]:
    """Return the words of `nasopt predict`, with the file that blocks of the user's are in."""
    words: list[object] = ["predict", stages.result.folder, "PICTURE"]
    space = stages.experiment.space
    if isinstance(space, Space) and any(part.layer.is_own for part in space.parts):
        words += ["--blocks", getattr(args, "what", None) or args.study]
    return words
