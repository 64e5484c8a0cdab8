"""`run` and `compare`: a search and a comparison from Python, as the verbs of these names."""

from collections.abc import Sequence
from pathlib import Path

import optuna

from nasopt.analysis.compared import ComparisonResult
from nasopt.errors import StudyError
from nasopt.reporting.notes import TrialNotes
from nasopt.samplers import GivenSampler
from nasopt.samplers.naming import Named
from nasopt.search.comparison import DEFAULT, Comparison
from nasopt.search.experiment import Experiment
from nasopt.search.search import Callback, Search
from nasopt.trackers import Tracker


def run(
    experiment: Experiment,
    *,
    sampler: GivenSampler = "surrogate",
    seed: int = 0,
    storage: str | Path | None = None,
    trials: int | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> optuna.Study:
    """Run a study to its end, or go on with it where it was left, and return it.

        study = nasopt.run(experiment, sampler="tpe", trials=50)

    `sampler` is a name, any Optuna sampler, or one with a name, {"mine": MySampler()}; `seed` is
    its seed. `storage` is a path or SQLAlchemy URL, by default `runs/<name of the experiment>.db`.
    `trials` is the total to reach, by default the experiment's. `callbacks` are called with the
    study and each trial that has ended, as those of Optuna's `optimize`; see `nasopt.trackers`.

    Raises an `Error` for a mistake that the user can fix; Interrupted (a KeyboardInterrupt) on
    Ctrl-C or SIGTERM, after which the same call goes on.
    """
    search = Search(
        experiment,
        sampler=sampler,
        seed=seed,
        storage=storage,
        trials=trials,
        device=device,
        callbacks=[TrialNotes(), *_checked(callbacks)],
    )
    for _ in search:
        pass
    _flush(callbacks)
    return search.study


def compare(
    experiment: Experiment, *,
    samplers: str | Sequence[GivenSampler] | Named = DEFAULT, seeds: int = 5,
    trials: int | None = None, epochs_budget: int | None = None, replicates: int = 3,
    storage: str | Path | None = None, baseline: str = "random", device: str = "auto",
    analyse_only: bool = False, callbacks: Sequence[Callback] = (),
) -> ComparisonResult:  # fmt: skip
    """Compare samplers on `experiment`: run the missing studies, then analyse.

        result = nasopt.compare(experiment, samplers="random,tpe", seeds=8, trials=40)
        print(result.verdict)

        on_table = Experiment.on_benchmark("nasbench201:cifar100")
        nasopt.compare(on_table, samplers="all", seeds=30, trials=200)

    The arguments are those of `Comparison`. Raises an `Error` for a mistake that the user can fix;
    Interrupted on Ctrl-C or SIGTERM, after which the same call goes on.
    """
    comparison = Comparison(
        experiment, samplers=samplers, seeds=seeds, trials=trials, epochs_budget=epochs_budget,
        storage=storage, replicates=replicates, baseline=baseline, device=device,
        analyse_only=analyse_only, callbacks=[TrialNotes(), *_checked(callbacks)],
    )  # fmt: skip
    for _ in comparison:
        pass
    _flush(callbacks)
    return comparison.result


def _checked(callbacks: Sequence[Callback]) -> Sequence[Callback]:
    """Return `callbacks`; raise StudyError for what cannot be called with a study and a trial."""
    if not isinstance(callbacks, list | tuple):
        raise StudyError(f"callbacks={callbacks!r}: give a list, [{callbacks!r}]")
    for each in callbacks:
        if isinstance(each, type):
            raise StudyError(f"callbacks: {each.__name__} is a class; give {each.__name__}(...)")
        if not callable(each):
            raise StudyError(f"callbacks: {each!r} cannot be called with a study and a trial")
    return callbacks


def _flush(callbacks: Sequence[Callback]) -> None:
    for each in callbacks:
        if isinstance(each, Tracker):
            each.flush()
