"""`run`, `compare`, `noise`, `init` and `finals` from Python, as the verbs of these names."""

from collections.abc import Sequence
from pathlib import Path

import optuna

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.final_test import FinalResult
from nasopt.analysis.noise import Noise
from nasopt.errors import StudyError
from nasopt.models.finals import SEEDS, TOP, Finals
from nasopt.reporting import views  # noqa: F401  # by which results show themselves
from nasopt.reporting.notes import TrialNotes
from nasopt.reporting.progress import following
from nasopt.reporting.study_file import make_study
from nasopt.samplers import GivenSampler
from nasopt.samplers.naming import Named
from nasopt.search.comparison import DEFAULT, Comparison
from nasopt.search.deadline import Deadline
from nasopt.search.experiment import Experiment
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Callback, Search
from nasopt.text import RUN_AGAIN
from nasopt.trackers import Tracker


def run(
    experiment: Experiment,
    *,
    sampler: GivenSampler = "surrogate",
    seed: int = 0,
    storage: str | Path | None = None,
    trials: int | None = None,
    time: float | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
) -> optuna.Study:
    """Run a study to its end, or go on with it where it was left, and return it.

        study = nasopt.run(experiment, sampler="tpe", trials=50)

    `sampler` is a name, any Optuna sampler, or one with a name, {"mine": MySampler()}; `seed` is
    its seed. `storage` is a path or SQLAlchemy URL, by default `runs/<name of the experiment>.db`.
    `trials` is the total to reach, by default the experiment's. `time` is a budget in seconds: no
    trial begins that would not end in time, by what trials like it took, and the one under way is
    stopped and keeps its place. Each trial is reproducible; their number then is not, nor which
    ones the surrogate tries. `callbacks` are called with the study and each trial that has ended,
    as those of Optuna's `optimize`; see `nasopt.trackers`.

    `progress` shows how it goes on stderr or in the cell of a notebook. By default it does where
    somebody looks, in a terminal and in a notebook; a pipe or a log file stays clean. True prints
    a line a trial there; False shows nothing. Each trial that ends is logged, too: at level INFO,
    by the logger "nasopt".

    Raises an `Error` for a mistake that the user can fix; Interrupted (a KeyboardInterrupt) on
    Ctrl-C or SIGTERM, after which the same call goes on.
    """
    deadline = Deadline.after(time)
    with following(progress) as follow:
        search = Search(
            _checked_experiment(experiment),
            sampler=sampler,
            seed=seed,
            storage=storage,
            trials=trials,
            device=device,
            deadline=deadline,
            callbacks=[TrialNotes(), *_checked(callbacks)],
        )
        follow(search)
    _flush(callbacks)
    return search.study


def compare(
    experiment: Experiment, *,
    samplers: str | Sequence[GivenSampler] | Named = DEFAULT, seeds: int = 5,
    trials: int | None = None, epochs_budget: int | None = None, time: float | None = None,
    replicates: int = 3,
    storage: str | Path | None = None, baseline: str = "random", device: str = "auto",
    analyse_only: bool = False, callbacks: Sequence[Callback] = (), progress: bool | None = None,
) -> ComparisonResult:  # fmt: skip
    """Compare samplers on `experiment`: run the missing studies, then analyse.

        result = nasopt.compare(experiment, samplers="random,tpe", seeds=8, trials=40)
        print(result.verdict)

        on_table = Experiment.on_benchmark("nasbench201:cifar100")
        nasopt.compare(on_table, samplers="all", seeds=30, trials=200)

    `time` is a budget in seconds and `progress` is as for `run`; the other arguments are those of
    `Comparison`. Raises an `Error` for a mistake that the user can fix, StudyError if the time was
    not enough, and Interrupted on Ctrl-C or SIGTERM; after the last two the same call goes on.
    """
    deadline = Deadline.after(time)
    with following(progress) as follow:
        comparison = Comparison(
            _checked_experiment(experiment), samplers=samplers, seeds=seeds, trials=trials,
            epochs_budget=epochs_budget, storage=storage, replicates=replicates, baseline=baseline,
            device=device, analyse_only=analyse_only, deadline=deadline,
            callbacks=[TrialNotes(), *_checked(callbacks)],
        )  # fmt: skip
        follow(comparison)
    _flush(callbacks)
    if comparison.out_of_time:
        raise StudyError(f"time={time}: used, and {comparison.out_of_time}; {RUN_AGAIN}")
    return comparison.result


def finals(
    experiment: Experiment | None = None,
    *,
    storage: str | Path | None = None,
    study: str | None = None,
    top: int = TOP,
    seeds: int = SEEDS,
    epochs: int | None = None,
    output: str | Path | None = None,
    time: float | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> FinalResult:
    """Turn the finished studies of `experiment` into a tested model.

        result = nasopt.finals(experiment, output="digits-model")
        print(result.test.verdict)

    The best networks are trained again with fresh seeds, the first of them on training and
    validation images together, beside reference networks; then the test split is looked at, once.
    `time` is a budget in seconds and `progress` is as for `run`, a training in the place of a
    trial; the other arguments are those of `Finals`. Raises an `Error` for a mistake that the user
    can fix, StudyError if the time was not enough, and Interrupted on Ctrl-C or SIGTERM; after the
    last two the same call goes on.
    """
    deadline = Deadline.after(time)
    with following(progress) as follow:
        given = None if experiment is None else _checked_experiment(experiment)
        stages = Finals(
            given, storage=storage, study=study, top=top, seeds=seeds, epochs=epochs,
            output=output, deadline=deadline, device=device,
        )  # fmt: skip
        follow(stages)
    if stages.out_of_time:
        raise StudyError(f"time={time}: used, and {stages.out_of_time}; {RUN_AGAIN}")
    return stages.result


def init(
    folder: str | Path,
    *,
    output: str | Path | None = None,
    size: int | None = None,
    device: str = "auto",
) -> Experiment:
    """Look at a folder of pictures and return an experiment that fits it and this machine.

        experiment = nasopt.init("photos", output="photos.py")
        study = nasopt.run(experiment)

    The folder is as `image_folder` takes it. `size` is that of the pictures in pixels, by default
    one that suits them. With `output`, the study file is written there as well, never over
    another. The seconds of a trial are measured on `device`; there are as many trials as take
    about half an hour.

    Raises an `Error` for a mistake that the user can fix.
    """
    return make_study(folder, output, size=size, device=device).experiment


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
    study = NoiseStudy(
        _checked_experiment(experiment), storage, device, architectures=architectures, seeds=seeds
    )
    with following(progress) as follow:
        follow(study)
    return study.noise


def _checked_experiment(value: object) -> Experiment:
    if isinstance(value, Experiment):
        return value
    raise StudyError(
        f"experiment={value!r}: give an Experiment, as nasopt.load_experiment(file) returns it"
    )


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
