"""The verbs from a folder of pictures to a study file, and from a finished search to a model."""

import argparse

from nasopt.cli.searching import deadline_of


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


def finals(args: argparse.Namespace) -> None:
    """Turn a finished search into a tested model: re-rank, train finally, test once.

    Trains the best networks of STUDY.py, or of the database DB, again with fresh seeds, and the
    first of them on training and validation images together, beside reference networks. Then looks
    at the test split, once, and says whether the search was worth it. Ctrl-C stops within a batch;
    the same command goes on.
    """
    from nasopt.cli import finals as stages

    stages.finals(args, deadline_of(args.time))


def predict(args: argparse.Namespace) -> None:
    """Say what PICTUREs show, by the model in FOLDER.

    A PICTURE is a file, a folder or a pattern; - reads a list from standard input, a name a line.
    If a folder has sub-folders named after the classes, the model is scored on their pictures. A
    file that is no picture is told and left out, and the exit code is then 2.
    """
    from nasopt.cli import predictions

    _define_blocks(args)
    predictions.predict(args)


def reproduce(args: argparse.Namespace) -> None:
    """Train the model in FOLDER again and say whether the figures agree.

    They do bit for bit where the device, torch and the number of threads are the same.
    """
    from nasopt.models.reproducing import Reproducing
    from nasopt.reporting.terminal import display

    _define_blocks(args)
    again = Reproducing(args.folder, data=args.data, device=args.device)
    epochs = again.training.recipe.epochs
    display.follow_epochs(display.console(stderr=args.json), again, epochs)
    if args.json:
        display.print_json(again.result.to_json())
    else:
        display.console().print(again.result.verdict)


def _define_blocks(args: argparse.Namespace) -> None:
    """Run the study file that defines a network's blocks, if one is given."""
    if args.blocks is not None:
        from nasopt.search.loading import load_experiment

        load_experiment(args.blocks)
