"""The commands that a person is told: those that reproduce studies, and those that come next."""

import json
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence

from nasopt.analysis.curves import Budget
from nasopt.analysis.record import Record
from nasopt.analysis.selection import budget_of
from nasopt.storage.database import shown_url

TABLE, FILE = "TABLE", "STUDY.py"  # in place of what the database does not know
BUDGETS = {"evaluations": "--trials", "epochs": "--epochs-budget"}  # by the unit of a budget


def command(*words: object) -> str:
    """Return the command `nasopt` with `words` for a shell, without the passwords of databases."""
    return shlex.join(["nasopt", *(shown_url(str(word)) for word in words)])


def same(verb: str, args: Namespace, *more: object) -> str:
    """Return the command `verb` on the study file or benchmark, database and device of `args`."""
    words = [verb, *([args.study] if args.study else ["--benchmark", args.benchmark])]
    usual: dict[str, object] = {"device": "auto"}
    if verb == args.verb == "compare":
        usual |= {"baseline": "random", "replicates": 3}
    for option in ("storage", "checkpoints", "data_dir", *usual):
        value = getattr(args, f"asked_{option}", getattr(args, option, None))
        if value not in (None, usual.get(option)):
            words += [f"--{option.replace('_', '-')}", value]
    return command(*words, *more)


def comparison_options(samplers: Sequence[str], seeds: int, budget: Budget) -> list[str]:
    """Return the options of `nasopt compare` for these samplers, that many seeds, and a budget."""
    of_budget = [BUDGETS[budget.unit], str(budget.amount)]
    return ["--samplers", ",".join(samplers), "--seeds", str(seeds), *of_budget]


def commands(studies: Sequence[Record], location: str) -> list[str]:
    """Return the commands that make `studies` of one experiment in the database at `location`.

    A sampler of the user's own has no name on the command line: its line is one of Python.
    """
    budgets: dict[Budget, list[Record]] = {}
    for study in studies:
        budgets.setdefault(budget_of(study), []).append(study)
    found = []
    for budget, alike in budgets.items():
        named = [study for study in alike if study.sampler_settings is None]
        if named:
            found += [command(*words, "--storage", location) for words in _commands(named, budget)]
        others = [study for study in alike if study.sampler_settings is not None]
        found += [_call(study, budget, shown_url(location)) for study in others]
    return found


def _call(study: Record, budget: Budget, location: str) -> str:
    """Return the line of Python that makes a study whose sampler was given a name, or an object."""
    settings = study.sampler_settings or {}
    inner = json.dumps(settings["sampler"]) if "sampler" in settings else "sampler"
    given, storage = f"{{{json.dumps(study.sampler)}: {inner}}}", json.dumps(location)
    if budget.unit == "epochs":  # only comparisons have it; their seeds begin with 0
        words = f"samplers={given}, seeds={1 + study.seed}, epochs_budget={budget.amount}"
        line = f"nasopt.compare(experiment, {words}, storage={storage})"
    else:
        words = f"sampler={given}, seed={study.seed}, trials={budget.amount}"
        line = f"nasopt.run(experiment, {words}, storage={storage})"
    return f"{line}  # in Python" + (", with your sampler" if inner == "sampler" else "")


def needed(study: Record) -> str:
    """Return what else the commands need: the file of the experiment, or its table."""
    if _is_of_option(study):
        return (
            f"In place of {TABLE} goes the table that was searched, which is called "
            f"{_table(study)} here: nasbench201:cifar10, say, or a file. Of several samplers "
            "the command also tells which is better, by all trainings that the table has of the "
            "networks they chose."
        )
    file = _file(study)
    if file == FILE:
        return f"In place of {FILE} goes the file of the experiment."
    return f"{file} is the file of the experiment."


def _commands(studies: Sequence[Record], budget: Budget) -> Iterator[list[str]]:
    first = studies[0]
    if _is_of_option(first):
        yield ["compare", "--benchmark", TABLE, *_comparison(studies, budget)]
    elif budget.unit == "epochs" or (  # which only comparisons have
        _is_whole(studies) and not any(study.warm_start_from for study in studies)
    ):
        yield ["compare", _file(first), *_comparison(studies, budget)]
    else:
        for study in studies:
            seed, trials = str(study.seed), str(budget.amount)
            sampler = ["--sampler", study.sampler]
            before = study.warm_start_from
            warm = ["--warm-start", ",".join(before)] if before else []
            yield ["run", _file(study), *sampler, "--seed", seed, "--trials", trials, *warm]


def _comparison(studies: Sequence[Record], budget: Budget) -> list[str]:
    """Return the options of the comparison; its seeds begin with 0."""
    samplers = list(dict.fromkeys(study.sampler for study in studies))
    seeds = 1 + max(study.seed for study in studies)
    words = comparison_options(samplers, seeds, budget)
    return words if "random" in samplers else [*words, "--baseline", samplers[0]]


def _is_whole(studies: Sequence[Record]) -> bool:
    """Return True if they are of a comparison: several samplers, each with all seeds."""
    samplers = {study.sampler for study in studies}
    found = {(study.sampler, study.seed) for study in studies}
    seeds = {study.seed for study in studies}
    whole = len(samplers) * (1 + max(seeds))  # counted, not spelled out: a seed may be 20240101
    return len(samplers) > 1 and min(seeds) >= 0 and len(found) == whole


def _is_of_option(study: Record) -> bool:
    """Return True if `nasopt compare --benchmark` made it, or could have; else there was a file."""
    plain = len(study.objectives) == 1 and not study.limits
    of_seed = study.experiment.seed == study.seed
    return study.is_benchmark and plain and of_seed and _experiment(study) == _table(study)


def _file(study: Record) -> str:
    """Return the file of an experiment, which is named after its file or its table."""
    if study.is_benchmark and _experiment(study) == _table(study):
        return FILE
    return f"{_experiment(study)}.py"


def _experiment(study: Record) -> str:
    return study.name.rsplit("/", 2)[0]


def _table(study: Record) -> str:
    return study.experiment.dataset.rpartition(" ")[0]
