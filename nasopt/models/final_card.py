"""The card of a final model: its figures on test, and how it was found."""

from collections.abc import Iterator, Sequence

from nasopt.analysis.final_test import Efficiency, FinalResult, FinalTest
from nasopt.analysis.reranking import Reranking
from nasopt.models.card import Card, Score
from nasopt.text import accuracy, memory, several
from nasopt.training.metrics import in_words


def final_card(result: FinalResult, command: str) -> Card:
    """Return the card of the winner's model of the first seed; `command` finds it again."""
    first = result.test.winner.first
    return Card(
        scores=[
            Score(name="accuracy", value=first.accuracy, interval=(first.low, first.high)),
            Score(name="balanced_accuracy", value=first.balanced_accuracy),
            Score(name="f1", value=first.macro_f1),
        ],
        found=f"{_found(result.reranking, result.test)}\n",
        command=command,
        sections={
            "Against other networks": "\n".join(_references(result.test)),
            "Class by class": "\n".join(_classes(result.test)),
            "Efficiency": "\n".join(_efficiency(result.efficiency)),
        },
    )


def _found(reranking: Reranking, test: FinalTest) -> str:
    networks, seeds = len(reranking.candidates), len(reranking.winner.fresh)
    return (
        f"It is {reranking.winner.name}. The {several(networks, 'best network')} of the search "
        f"were trained again with {several(seeds, 'other seed')} and ranked by their "
        f"{in_words(reranking.metric)} on validation images. {reranking.verdict} The first was "
        f"trained on training and validation images together for {several(test.epochs, 'epoch')}; "
        f"this model is the one of the first seed, whichever is best on test. {test.about_looks}"
    )


def _references(test: FinalTest) -> Iterator[str]:
    yield (
        f"All were trained by the same recipe, for {several(test.epochs, 'epoch')} and with "
        f"{several(len(test.winner.accuracies), 'seed')}, and tested on the same "
        f"{test.winner.first.images:,} images."
    )
    yield ""
    yield from _table(
        ("network", "test accuracy", "95 % over seeds", "winner's lead (95 %)", "parameters"),
        _reference_rows(test),
    )
    yield ""
    yield test.verdict


def _reference_rows(test: FinalTest) -> Iterator[tuple[str, ...]]:
    for each in test.tested:
        mean, ahead = each.over_seeds, ""
        over = "" if mean.low is None else f"{accuracy(mean.low)} to {accuracy(mean.high)}"
        if each.lead is not None:
            ends = [accuracy(end, sign=True) for end in (each.lead.low, each.lead.high)]
            ahead = f"{accuracy(each.lead.mean, sign=True)} ({' to '.join(ends)})"
        name = f"{each.contender.name} ({each.contender.how})"
        yield name, accuracy(mean.mean), over, ahead, f"{each.contender.parameters:,}"


def _classes(test: FinalTest) -> Iterator[str]:
    first = test.winner.first
    known = zip(test.classes, first.recalls, first.confusion, strict=True)
    rows = ((name, accuracy(recall), f"{sum(counts):,}") for name, recall, counts in known)
    yield from _table(("class", "recall", "test images"), rows)


def _efficiency(found: Sequence[Efficiency]) -> Iterator[str]:
    first = found[0]
    rows = (
        (
            str(each.batch_size),
            f"{each.median * 1e3:.3g} ms",
            f"{each.p95 * 1e3:.3g} ms",
            memory(each.memory),
        )
        for each in first.latencies
    )
    here = first.latencies[0]
    threads = f", {several(here.threads, 'thread')}" if here.threads else ""
    counts = f"{first.parameters:,} parameters, {first.macs:,} MACs"
    yield f"{counts}, measured on {here.device}{threads}."
    yield ""
    yield from _table(("batch", "median", "95th percentile", "memory"), rows)


def _table(headers: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{'---|' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
