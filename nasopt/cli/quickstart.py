"""The lecture in under three minutes: a space, random sampling against TPE, and the outcome."""

from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nasopt.analysis.outcome import Result, result
from nasopt.analysis.winners import Retrained
from nasopt.reporting.commands import command
from nasopt.reporting.notes import TrialNotes
from nasopt.reporting.terminal import display
from nasopt.reporting.terminal.results import outcome_table
from nasopt.search.describe import describe
from nasopt.search.loading import load_experiment
from nasopt.search.retraining import retrain
from nasopt.search.search import Search
from nasopt.text import accuracy

LECTURE = "cifar10.py"  # 20 conv layers, 4.0e27 architectures
SMALL = "digits.py"  # what can be searched while one waits
SAMPLERS = ("random", "tpe")
REPLICATES = 3  # trainings of each winner with fresh seeds


def study_file(name: str) -> Path:
    """Return a study file in `studies/` of a checkout, or its copy in an installed package."""
    installed = Path(str(files("nasopt"))) / "studies" / name
    return installed if installed.exists() else Path(str(files("nasopt"))).parent / "studies" / name


def quickstart(storage: str | None = None, device: str = "auto", as_json: bool = False) -> None:
    """Describe the lecture's space, search a small one twice, and say what that can tell."""
    location = "runs/quickstart.db" if storage is None else storage
    out = display.console(stderr=as_json)
    lecture = load_experiment(study_file(LECTURE))
    out.print("1. The problem: choose every layer of a network", style="bold")
    out.print()
    display.print_description(out, "the lecture's 20 layers", describe(lecture, device=None))
    out.print()
    experiment = load_experiment(study_file(SMALL))
    limits = " and ".join(map(str, experiment.limits)) or "no limits"
    out.print(
        f"2. A small one: {experiment.trials} networks by random sampling, "
        f"{experiment.trials} by TPE, on 8x8 digits ({limits})",
        style="bold",
    )
    out.print()
    searches = {
        name: Search(
            experiment, sampler=name, storage=location, device=device, callbacks=[TrialNotes()]
        )
        for name in SAMPLERS
    }
    for name, search in searches.items():
        out.print(f"{name}: {experiment.trials} trials", style="bold")
        display.follow_search(out, search)
    out.print()
    out.print("The winners, trained again with fresh seeds ...")
    again = {name: _retrained(search) for name, search in searches.items()}
    results = {name: result(search.study) for name, search in searches.items()}
    if as_json:
        display.print_json(
            {
                name: {**results[name].to_json(), "retrained": again[name].accuracies}
                for name in SAMPLERS
            }
        )
        return
    out.print()
    out.print("3. The outcome", style="bold")
    out.print()
    best = max(SAMPLERS, key=lambda name: again[name].mean)
    out.print(f"The better winner, by {best}:")
    out.print()
    out.print(outcome_table(results[best].best[0], out.width))
    out.print()
    _print_comparison(out, results, again)
    _print_next(out, location)


def _retrained(search: Search) -> Retrained:
    """Train the network that is shown as the best of its search."""
    best = search.study.trials[result(search.study).best[0].number]
    return retrain(search.evaluator, search.experiment.evaluation(best.params), REPLICATES)


def _print_comparison(
    out: Console, results: dict[str, Result], again: dict[str, Retrained]
) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("sampler")
    for header in ("best of the search", "trained again", "parameters", "trials", "pruned"):
        table.add_column(header, justify="right")
    for name, found in results.items():
        best = found.best[0]
        fresh = f"{accuracy(again[name].mean)} +- {accuracy(again[name].standard_error)}"
        table.add_row(
            name, accuracy(best.accuracy), fresh, f"{best.parameters:,}",
            str(found.done), str(found.pruned),
        )  # fmt: skip
    out.print(table)
    out.print()
    out.print(verdict(again))


def verdict(again: dict[str, Retrained]) -> str:
    """Return what one study by each sampler can tell, in words."""
    random, tpe = again["random"], again["tpe"]
    gap = tpe.mean - random.mean
    error = (random.standard_error**2 + tpe.standard_error**2) ** 0.5
    if abs(gap) <= 2 * error:
        claim = "The two winners are level, as far as three fresh seeds can tell."
    else:
        claim = (
            f"The winner of {'TPE' if gap > 0 else 'random sampling'} is the better network here."
        )
    return (
        f"{claim} Which sampler is better, one study of each cannot tell: another seed may turn it "
        "around. (+-: standard error over three fresh training seeds; the best of the search is "
        "flattered, since it was chosen for its luck, too.)"
    )


def _print_next(out: Console, location: str) -> None:
    study = (study_file(SMALL), "--storage", location)
    commands = [
        (command("show", location, "--studies"), "the two studies"),
        (command("dashboard", location), "browse them"),
        (command("noise", *study), "how much of it was luck"),
        (command("run", *study, "--sampler", "tpe", "--seed", 1), "another seed"),
    ]
    display.print_next(out, commands, location)
