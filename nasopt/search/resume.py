"""`paid_epochs`: no epoch is paid for twice, neither after a repeat, a crash nor a prune."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from nasopt.storage.ledger import Ledger
from nasopt.storage.locks import Locks
from nasopt.text import accuracy
from nasopt.training.evaluation import EpochResult, Evaluation
from nasopt.training.profiling import Timer, no_timer

logger = logging.getLogger("nasopt")

POLL_SECONDS = 0.2  # between two looks at what another process trains


class Engine(Protocol):
    """The part of a `Trainer` that is needed here.

    One that keeps no state is never saved: it begins anew.
    """

    @property
    def keeps_state(self) -> bool: ...

    def batches(self) -> Iterator[EpochResult | None]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def fits(self, state: Any, /) -> bool: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Stopped(Exception):
    """The error after a request to stop: the evaluation is checkpointed and can go on later."""


def paid_epochs(
    evaluation: Evaluation,
    ledger: Ledger,
    engine: Callable[[Evaluation], Engine],
    stop: Callable[[], bool] = lambda: False,
    timer: Timer = no_timer,
    locks: Locks | None = None,
    kept: Ledger | None = None,
) -> Iterator[EpochResult]:
    """Replay the known epochs of `evaluation`, then train on, recording as it goes.

    `engine` is called only if there is something left to train. `stop` is asked after each batch;
    on True the state is saved and Stopped is raised. It is saved as well when the iterator is
    closed before its end, which is what pruning does. With `locks`, an evaluation that another
    process trains is not trained beside it: its epochs are replayed as they come. With `kept`, the
    weights after the last epoch are saved there; if they are not, the last ones are trained anew.
    """
    key = evaluation.key
    known: list[EpochResult] = []
    held = locks is None or locks.take(key)
    try:
        while True:
            further = ledger.results(key)[len(known) :]
            known += further
            timer("ledger")
            yield from further
            if is_finished(evaluation, known) and (kept is None or kept.has_checkpoint(key)):
                return
            if locks is None or held:
                break
            if stop():
                raise Stopped
            time.sleep(POLL_SECONDS)
            timer("waiting")
            held = locks.take(key)
        yield from _trained_on(evaluation, known, ledger, engine, stop, timer, kept)
    finally:
        if locks is not None and held:
            locks.release(key)


def _trained_on(
    evaluation: Evaluation,
    known: list[EpochResult],
    ledger: Ledger,
    engine: Callable[[Evaluation], Engine],
    stop: Callable[[], bool],
    timer: Timer,
    kept: Ledger | None,
) -> Iterator[EpochResult]:
    """Yield the epochs after the `known` ones, from the checkpoint if there is one."""
    trainer = engine(evaluation)
    if trainer.keeps_state:
        _load_checkpoint(evaluation, known, ledger, trainer)
    timer("building")

    def save() -> None:
        if trainer.keeps_state:
            ledger.save_checkpoint(evaluation.key, trainer.state_dict())
            timer("ledger")

    last = None
    for result in trainer.batches():
        if result is not None:
            last = result
            ledger.append(evaluation, result)
            timer("ledger")
            if result.epoch <= len(known):
                _compare(evaluation, known[result.epoch - 1], result)
            else:
                known.append(result)
                if is_finished(evaluation, known):
                    break
                try:
                    yield result
                except GeneratorExit:
                    save()
                    raise
        if stop():
            save()
            raise Stopped
        if ledger.due():
            save()
    if kept is not None:
        kept.save_checkpoint(evaluation.key, {"network": trainer.state_dict()["network"]})
    ledger.discard_checkpoint(evaluation.key)
    if last is not None:
        yield last


def _load_checkpoint(
    evaluation: Evaluation, known: Sequence[EpochResult], ledger: Ledger, trainer: Engine
) -> None:
    # the last epoch may have been recorded just before a checkpoint was due
    due = sum(result.seconds for result in known[:-1]) >= ledger.checkpoint_seconds
    state = ledger.checkpoint(evaluation.key, trainer.fits, expected=due)
    # a state of rows that a power cut took, or that went with a removed database, is not used
    if state is not None and state["epoch"] <= len(known):
        trainer.load_state_dict(state)


def is_finished(evaluation: Evaluation, known: Sequence[EpochResult]) -> bool:
    """Return True if the `known` epochs are all that there will be."""
    return bool(known) and (len(known) == evaluation.recipe.epochs or known[-1].diverged)


def _compare(evaluation: Evaluation, known: EpochResult, again: EpochResult) -> None:
    same = (known.device, known.torch) == (again.device, again.torch)
    if same and known.metrics != again.metrics and not again.diverged:
        logger.warning(
            "epoch %d of evaluation %s came out as %s, not %s as recorded; the record stands",
            again.epoch,
            evaluation.key,
            accuracy(again.accuracy),
            accuracy(known.accuracy),
        )
