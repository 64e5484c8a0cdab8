"""Several workers in one process, a thread each, at one study: here on the CPU."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.pruners import HyperbandPruner
from optuna.trial import TrialState

from nasopt import Conv, Experiment, Recipe, Space, categorical, repeat
from nasopt.cli.searching import _apart_if_needed
from nasopt.errors import StudyError
from nasopt.search.comparison import Comparison, ComparisonProgress
from nasopt.search.evaluator import Evaluator
from nasopt.search.interruption import Interrupted
from nasopt.search.places import Place
from nasopt.search.search import Progress, Search
from nasopt.search.threads import Running, work_together
from nasopt.search.working import Begun, Ended, Line, Of
from nasopt.storage.opening import open_storage
from nasopt.training.evaluation import EpochResult
from nasopt.training.trainer import Trainer
from tests.examples import STUDY, small, study_file
from tests.search.test_life import DEADLY
from tests.space.blocks_of_a_user import Scaled2
from tests.trials import counted, told

WORKERS = 3
WITH_OWN = Space(repeat(Scaled2(filters=categorical(2, 4)), 1, 2), Conv(filters=categorical(2, 4)))


def searches(
    experiment: Experiment, storage: Path, count: int = WORKERS, **given: Any
) -> list[Search]:
    """The searches of as many workers in one process, as a command has them."""
    given = {"sampler": "random", **given}
    first = Search(experiment, storage=storage, device="cpu", **given)
    evaluators = (first.evaluator.beside() for _ in range(1, count))
    return [first, *(Search(experiment, evaluator=each, **given) for each in evaluators)]


def ran(running: Sequence[Running], hear: Callable[[Any], None] = lambda said: None) -> list[Any]:
    """What they tell, one message at a time."""
    news: list[Any] = []
    one_at_a_time = threading.Lock()

    def tell(said: Any) -> None:
        with one_at_a_time:
            news.append(said)
            hear(said)

    work_together(lambda: running, tell, "here", "cpu")
    return news


def ends(news: list[Any]) -> list[Ended]:
    """How each worker ended, in their order."""
    return [each.said for each in sorted(news[1:], key=_number) if _is_end(each)]


def _number(said: Any) -> int:
    return said.worker if isinstance(said, Of) else -1


def _is_end(said: Any) -> bool:
    return isinstance(said, Of) and isinstance(said.said, Ended)


@pytest.fixture
def trainers(monkeypatch) -> Counter[str]:
    """How often the training of each network was begun."""
    begun: Counter[str] = Counter()
    init = Trainer.__init__

    def noted(self: Trainer, evaluation: Any, *rest: Any, **named: Any) -> None:
        begun[evaluation.key] += 1
        init(self, evaluation, *rest, **named)

    monkeypatch.setattr(Trainer, "__init__", noted)
    return begun


def metrics(known: Sequence[EpochResult]) -> list[tuple[Any, ...]]:
    return [(*each.metrics, each.confusion, each.device) for each in known]


def test_a_study_by_threads_has_its_exact_budget_and_trains_each_network_as_one_alone(
    tmp_path, trainers
):
    experiment = small(space=WITH_OWN, trials=7)
    running = searches(experiment, tmp_path / "x.db")
    news = ran(running)
    study = running[0].study
    assert len(counted(study)) == 7
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    assert ends(news) == [Ended()] * WORKERS
    assert news[0] == Begun("here")
    ended = [said.said.finished.number for said in news if _finished(said)]
    assert sorted(ended) == [trial.number for trial in study.trials]
    assert set(trainers.values()) == {1}  # nothing was paid for twice
    alone = Evaluator(experiment, tmp_path / "alone.db", "cpu")
    evaluations = {
        each.key: each for each in (experiment.evaluation(trial.params) for trial in counted(study))
    }
    assert evaluations.keys() == set(trainers)
    for key, evaluation in evaluations.items():
        together = metrics(running[0].evaluator.ledger.results(key))
        assert together == metrics(list(alone.epochs(evaluation)))[: len(together)]


def _finished(said: Any) -> bool:
    return isinstance(said, Of) and getattr(said.said, "finished", None) is not None


def test_images_are_loaded_once_a_line_is_told_once_and_pruners_are_not_shared(tmp_path):
    def log(study: optuna.Study, trial: Any) -> None:
        logging.getLogger("nasopt").warning("trial %d", trial.number)

    experiment = small(trials=3, pruner=HyperbandPruner(min_resource=1, max_resource=2))
    running = searches(experiment, tmp_path / "x.db", callbacks=[log])
    assert len({id(each._study.pruner) for each in running}) == WORKERS
    evaluators = [each.evaluator for each in running]
    assert all(each.images is evaluators[0].images for each in evaluators)
    assert len({id(each.storage) for each in evaluators}) == WORKERS
    lines = [said.text for said in ran(running) if isinstance(said, Line)]
    trials = running[0].study.trials
    assert sorted(lines) == sorted(f"trial {trial.number}" for trial in trials)


class Count:
    """The epochs of each worker, and a signal once each has one."""

    def __init__(self, workers: int, signum: int) -> None:
        self.left = set(range(workers))
        self.signum = signum

    def __call__(self, said: Any) -> None:
        if isinstance(said, Of) and isinstance(said.said, Progress) and said.said.epoch:
            if said.worker in self.left and self.left == {said.worker}:
                os.kill(os.getpid(), self.signum)
            self.left.discard(said.worker)


LONG = small(recipe=Recipe(epochs=100_000, batch_size=32), trials=9)


def test_a_signal_stops_all_and_every_trial_waits(tmp_path):
    running = searches(LONG, tmp_path / "x.db")
    news = ran(running, Count(WORKERS, signal.SIGUSR1))
    assert ends(news) == [Ended(128 + signal.SIGUSR1)] * WORKERS
    states = [trial.state for trial in running[0].study.trials]
    assert states == [TrialState.WAITING] * WORKERS


def test_a_signal_stops_the_studies_that_comparisons_have_in_hand(tmp_path):
    first = Comparison(
        LONG, samplers="random,tpe", seeds=1, storage=tmp_path / "x.db", device="cpu"
    )
    assert first.evaluator is not None
    other = Comparison(LONG, samplers="random,tpe", seeds=1, evaluator=first.evaluator.beside())
    count = Count(2, signal.SIGTERM)

    def hear(said: Any) -> None:
        if isinstance(said, Of) and isinstance(said.said, ComparisonProgress):
            count(said._replace(said=said.said.search))

    assert ends(ran([first, other], hear)) == [Ended(128 + signal.SIGTERM)] * 2
    for name in first.studies:
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'x.db'}")
        assert [trial.state for trial in study.trials] == [TrialState.WAITING]


class Late:
    """One that begins after it was asked to stop, and forgets that, as a search does."""

    signum: int | None = None

    def __iter__(self) -> Iterator[str]:
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(2):
            while self.signum is None:
                time.sleep(0.01)
            yield "asked"
            self.signum = None
        raise Interrupted(signal.SIGTERM)


def test_a_signal_is_not_forgotten_by_one_that_only_begins():
    assert ends(ran([Late()])) == [Ended(143)]


def test_an_error_ends_one_worker_and_the_others_do_the_rest(tmp_path):
    def refuse(study: optuna.Study, trial: Any) -> None:
        raise StudyError("callback=1: use 2")

    running = searches(small(trials=4), tmp_path / "x.db")
    running[1].callbacks = [refuse]
    first, second, third = ends(ran(running))
    assert (first, second, third) == (Ended(), Ended(2, "callback=1: use 2"), Ended())
    assert len(counted(running[0].study)) == 4


def test_an_error_of_all_is_told_once_for_all(tmp_path):
    def refuse() -> list[Running]:
        raise StudyError("field=1: use 2")

    news: list[Any] = []
    work_together(refuse, news.append, "here", "cpu")
    assert news == [Begun("here"), Ended(2, "field=1: use 2")]


def test_nobody_to_listen_ends_all(tmp_path):
    def deaf(said: Any) -> None:
        if isinstance(said, Of) and said.said.number is not None:
            raise BrokenPipeError

    running = searches(LONG, tmp_path / "x.db")
    ran(running, deaf)
    assert TrialState.RUNNING not in [trial.state for trial in running[0].study.trials]


def test_a_trial_that_lost_its_worker_is_trained_alone(tmp_path, caplog):
    experiment = small(recipe=Recipe(epochs=3, batch_size=32), trials=4)
    left: list[Any] = [*searches(experiment, tmp_path / "x.db", 2)]
    process = os.fork()
    if not process:  # with two trials in hand, as a process of two workers has
        for number, each in enumerate(map(iter, left)):
            left[number] = each  # which is not closed
            while (progress := next(each)).number != number or progress.epoch != 1:
                pass
        os._exit(9)
    os.waitpid(process, 0)
    running = searches(experiment, tmp_path / "x.db")
    beside: dict[int, set[int]] = {0: set(), 1: set()}

    def look(said: Any) -> None:
        if isinstance(said, Of) and getattr(said.said, "number", None) in beside:
            trials = open_storage(tmp_path / "x.db", "read").get_all_trials(1, deepcopy=False)
            in_hand = {each.number for each in trials if each.state is TrialState.RUNNING}
            beside[said.said.number] |= in_hand

    news = ran(running, look)
    assert beside == {0: {0}, 1: {1}}
    assert ends(news) == [Ended()] * WORKERS
    assert len(counted(running[0].study)) == 4
    lines = [said.text for said in news if isinstance(said, Line)]
    for number in (0, 1):
        assert f"trial {number}: its worker died; nothing is trained beside it" in lines


def test_a_trial_that_loses_its_worker_in_that_moment_is_not_taken_beside_others(tmp_path):
    (search, _) = searches(small(trials=2), tmp_path / "x.db", 2)
    storage, room = search.storage, search.evaluator.room
    assert room is not None
    storage.owner = "dead"
    lost = storage.next_trial(1, 2)
    assert not storage.next_has_died(1)
    storage.requeue_orphans(1)
    storage.owner = "alive"
    assert storage.next_has_died(1)
    assert room.enter()
    assert search._claimed_within(room, 1) is None
    room.leave()
    assert search._claimed(1) == lost
    assert room.is_closed


@pytest.mark.long
def test_a_comparison_by_threads_equals_that_by_one(tmp_path):
    def one(storage: str, evaluator: Evaluator | None = None) -> Comparison:
        return Comparison(
            small(trials=3), samplers="random,tpe", seeds=1, replicates=1,
            storage=tmp_path / storage, device="cpu", evaluator=evaluator,
        )  # fmt: skip

    alone, first = one("one.db"), one("two.db")
    assert first.evaluator is not None
    for _ in alone:
        pass
    assert ends(ran([first, one("two.db", first.evaluator.beside())])) == [Ended()] * 2
    for name in alone.studies:
        one_by_one, together = (
            optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / database}")
            for database in ("one.db", "two.db")
        )
        assert told(one_by_one) == told(together)
    assert untimed(first) == untimed(alone)


def untimed(comparison: Comparison) -> list[dict[str, Any]]:
    rows = [row.to_json() for row in comparison.result.rows]
    return [{name: row[name] for name in row if "seconds" not in name} for row in rows]


def my_epochs(architecture: Any, recipe: Any, seed: int) -> Iterator[float]:
    yield 0.5


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"recipe": Recipe(epochs=2, compile=True)}, "recipe.compile compiles for one training"),
        ({"train": my_epochs}, "train=... is code of your"),
        ({"objectives": ("accuracy", "latency")}, "latencies are measured"),
    ],
)
def test_trainings_that_cannot_share_a_process_have_one_each_and_that_is_told(fields, why, caplog):
    shared = [Place("cuda:0", 1, 2), Place("cuda:1", 1)]
    apart = _apart_if_needed(shared, small(**fields))
    assert apart == [Place("cuda:0", 1), Place("cuda:0", 1), Place("cuda:1", 1)]
    (line,) = caplog.messages
    assert line.startswith(f"workers_per_gpu: {why}")
    assert _apart_if_needed(shared, small()) == shared


# as a command

COMMAND = """
import sys
from nasopt.cli.main import main
from nasopt.search import places

def find_places(*_):
    return [places.Place("cpu", 1, 3)]

places.find_places = find_places
sys.exit(main(sys.argv[1:]))
"""


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", *words, "--device", "cpu", "--storage", "x.db"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def study_in(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'x.db'}")


@pytest.mark.long
def test_a_network_that_kills_its_process_is_failed_and_no_other_is_for_it(tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY.replace("trials=3", "trials=6").replace(
        "categorical(2, 4, 8)", "categorical(1, 2, 3, 4, 5, 6, 7, 8)"
    ))  # fmt: skip
    with command(tmp_path, "deadly.py", "--sampler", "random", "--seed", "3") as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    study = study_in(tmp_path, "deadly/random/3")
    failed = [trial for trial in study.trials if trial.state is TrialState.FAIL]
    assert {trial.params["Deadly01.filters"] for trial in failed} == {4}
    assert len(counted(study)) == 6
    done = {trial.state for trial in study.trials} - {TrialState.FAIL}
    assert done <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert err.count("another takes its place") == 5
    assert "nothing is trained beside it" in err


@pytest.mark.long
def test_a_process_of_several_trainings_that_is_killed_is_replaced_and_all_is_exact(tmp_path):
    study_file(tmp_path).write_text(STUDY.replace("trials=4", "trials=20"))
    with command(tmp_path, "mine.py", "--sampler", "random") as process:
        killed = False
        for line in process.stdout or ():
            if not killed and line.startswith("[3/"):
                (worker,) = _workers_of(process.pid)
                os.kill(worker, signal.SIGKILL)
                killed = True
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert killed
    study = study_in(tmp_path, "mine/random/0")
    assert len(counted(study)) == 20
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    keys = [trial.user_attrs["key"] for trial in counted(study)]
    assert len(set(keys)) == len(keys)
    assert err.count("another takes its place") == 1


def _workers_of(process: int) -> list[int]:
    from tests.search.test_processes import workers_of

    return workers_of(process)


@pytest.mark.long
def test_a_signal_to_the_command_stops_the_trainings_of_its_process_and_they_go_on(tmp_path):
    file = study_file(tmp_path)
    file.write_text(STUDY.replace("epochs=2", "epochs=3000").replace("trials=4", "trials=3"))
    with command(tmp_path, "mine.py", "--sampler", "random") as process:
        while _in_training(tmp_path) < 3:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "nasopt: stopped by SIGTERM; the same command goes on\n"
    trials = study_in(tmp_path, "mine/random/0").trials
    assert [trial.state for trial in trials] == [TrialState.WAITING] * 3
    assert "nasopt:deaths" not in {name for trial in trials for name in trial.system_attrs}


def _in_training(folder: Path) -> int:
    if not (folder / "x.db").exists():
        return 0
    try:
        trials = study_in(folder, "mine/random/0").trials
    except (KeyError, optuna.exceptions.StorageInternalError, sa.exc.OperationalError):
        return 0
    return sum(bool(trial.intermediate_values) for trial in trials)
