"""`nasopt.reporting.terminal.workers`: how several workers look, in a terminal and elsewhere."""

import io
from collections.abc import Iterator

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text

from nasopt.reporting.terminal.display import paper
from nasopt.reporting.terminal.workers import Row, Whole, follow_workers
from nasopt.search.comparison import ComparisonProgress
from nasopt.search.processes import News
from nasopt.search.search import Progress
from nasopt.search.working import Begun, Ended, Killed

STANDING = Progress(trials=4, done=1, pruned=0, free=0, best=0.9)
IN_TRIAL = Progress(4, 1, 0, 0, 0.9, number=2, epoch=3, epochs=10, accuracy=0.8)
FINISHED = Progress(
    4, 2, 1, 0, 0.95, finished=optuna.create_trial(value=0.95, state=TrialState.COMPLETE)
)
OF_STUDY = [
    (0, Begun("cuda:0")),
    (1, Begun("cuda:1")),
    (0, STANDING),
    (1, IN_TRIAL),
    (0, FINISHED),
    (2, Killed("SIGKILL")),
]


def shown(news: list[tuple[int, object]], out: Console) -> str:
    def told() -> Iterator[News]:
        yield from (News(*each) for each in news)

    assert isinstance(out.file.file, io.StringIO)
    follow_workers(out, told())
    return out.file.file.getvalue()


def test_in_a_terminal_each_worker_has_a_line_below_that_of_the_study():
    text = shown(OF_STUDY, paper(io.StringIO(), 90, terminal=True))
    last = Text.from_ansi(text[text.rindex("2/4") :]).plain
    whole, first, second, third = last.splitlines()[:4]
    assert "best 0.9500, 1 pruned" in whole
    assert first.split() == ["cuda:0", "between", "trials"]
    assert second.split() == ["cuda:1", "trial", "2", "epoch", "3/10", "0.8000"]
    assert third.split() == ["killed", "by", "SIGKILL,", "starting", "anew"]


def test_elsewhere_there_is_a_line_a_trial_as_of_one_worker():
    text = shown(OF_STUDY, paper(io.StringIO()))
    assert text == "[2/4] trial -1: 0.9500 (complete), best 0.9500\n"


def test_a_study_that_several_workers_tell_of_is_told_once():
    known, other = (
        ComparisonProgress(1, 2, "a/tpe/0"),
        ComparisonProgress(2, 2, "a/tpe/1", STANDING),
    )
    news = [(0, known), (1, known), (0, other), (1, Ended()), (0, Ended())]
    assert shown(news, paper(io.StringIO())).splitlines() == [
        "[1/2] a/tpe/0: done before",
        "[2/2] a/tpe/1: 1 trials, 0 epochs, best 0.9000",
    ]
    whole = Whole()
    for number, said in news:
        list(whole.hear(number, said))
    assert (whole.done, whole.total) == (2, 2)


def test_a_worker_that_was_stopped_and_one_that_failed_say_so():
    row = Row()
    row.hear(Begun("cpu"))
    row.hear(Ended(2, "field=1: use 2"))
    assert row.cells() == ("cpu", "ended early: field=1: use 2")
    row.hear(Ended(143))
    assert row.cells() == ("cpu", "stopped")
