"""`run`, `compare` and `noise` from Python, as the verbs of these names."""

from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.noise import Noise
from nasopt.reporting import views  # noqa: F401  # by which results show themselves
from nasopt.reporting.notes import TrialNotes
from nasopt.reporting.progress import following
from nasopt.search.comparison import DEFAULT, Comparison
from nasopt.search.experiment import Experiment
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search


def run(
    experiment: Experiment,
    *,
    sampler: str | BaseSampler = "surrogate",
    seed: int = 0,
    storage: str | Path | None = None,
    trials: int | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> optuna.Study:
    """Run a study to its end, or go on with it where it was left, and return it.

        study = nasopt.run(experiment, sampler="tpe", trials=50)

    `sampler` is a name or any Optuna sampler, `seed` its seed. `storage` is a path or SQLAlchemy
    URL, by default `runs/<name of the experiment>.db`. `trials` is the total to reach, by default
    the experiment's.

    `progress` shows how it goes on stderr or in the cell of a notebook. By default it does where
    somebody looks, in a terminal and in a notebook; a pipe or a log file stays clean. True prints
    a line a trial there; False shows nothing. Each trial that ends is logged, too: at level INFO,
    by the logger "nasopt".

    Raises an `Error` for a mistake that the user can fix; Interrupted (a KeyboardInterrupt) on
    Ctrl-C or SIGTERM, after which the same call goes on.
    """
    with following(progress) as follow:
        search = Search(
            experiment,
            sampler=sampler,
            seed=seed,
            storage=storage,
            trials=trials,
            device=device,
            callbacks=[TrialNotes()],
        )
        follow(search)
    return search.study


def compare(
    experiment: Experiment, *,
    samplers: str | Sequence[str | BaseSampler] = DEFAULT, seeds: int = 5,
    trials: int | None = None, epochs_budget: int | None = None, replicates: int = 3,
    storage: str | Path | None = None, baseline: str = "random", device: str = "auto",
    analyse_only: bool = False, progress: bool | None = None,
) -> ComparisonResult:  # fmt: skip
    """Compare samplers on `experiment`: run the missing studies, then analyse.

        result = nasopt.compare(experiment, samplers="random,tpe", seeds=8, trials=40)
        print(result.verdict)

        on_table = Experiment.on_benchmark("nasbench201:cifar100")
        nasopt.compare(on_table, samplers="all", seeds=30, trials=200)

    The arguments are those of `Comparison`, and `progress` is as in `run`. Raises an `Error` for
    a mistake that the user can fix; Interrupted on Ctrl-C or SIGTERM, after which the same call
    goes on.
    """
    with following(progress) as follow:
        comparison = Comparison(
            experiment, samplers=samplers, seeds=seeds, trials=trials, epochs_budget=epochs_budget,
            storage=storage, replicates=replicates, baseline=baseline, device=device,
            analyse_only=analyse_only, callbacks=[TrialNotes()],
        )  # fmt: skip
        follow(comparison)
    return comparison.result


def noise(
    experiment: Experiment,
    *,
    architectures: int = 8,
    seeds: int = 3,
    storage: str | Path | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> Noise:
    """Measure how much of what a search of `experiment` sees is architecture, and how much luck.

        noise = nasopt.noise(experiment, architectures=8, seeds=3)
        print(noise.share, noise.verdict)

    So many random networks are trained with so many seeds each. The trainings are kept in the
    database: asking again costs nothing. The other arguments, and what is raised, are as in `run`.
    """
    study = NoiseStudy(experiment, storage, device, architectures=architectures, seeds=seeds)
    with following(progress) as follow:
        follow(study)
    return study.noise
