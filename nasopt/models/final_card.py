"""The card of a final model: its figures on test, and how it was found."""

from collections.abc import Iterator, Sequence

from nasopt.analysis.final_test import Efficiency, FinalResult, FinalTest
from nasopt.analysis.reranking import Reranking
from nasopt.models.card import Card, Score, markdown_table, plain
from nasopt.text import accuracy, memory, several
from nasopt.training.metrics import METRICS, in_words

NAMES = {"macro_f1": "f1"}  # of metrics, as Hugging Face has them


def final_card(result: FinalResult, command: str) -> Card:
    """Return the card of the winner's model of the first seed; `command` finds it again."""
    first, metric = result.test.winner.first, result.test.metric
    intervals = {"accuracy": (first.low, first.high)}
    return Card(
        scores=[
            Score(name=NAMES.get(each, each), value=first.by(each), interval=intervals.get(each))
            for each in sorted(METRICS, key=lambda each: each != metric)
        ],
        found=f"{_found(result.reranking, result.test)}\n",
        command=command,
        sections={
            "Against other networks": "\n".join(_references(result.test)),
            "Class by class": _classes(result.test),
            "Efficiency": "\n".join(_efficiency(result.efficiency)),
        },
    )


def _found(reranking: Reranking, test: FinalTest) -> str:
    networks, seeds = len(reranking.candidates), len(reranking.winner.fresh)
    return (
        f"It is {plain(reranking.winner.name)}. The {several(networks, 'best network')} of the "
        f"search were trained again with {several(seeds, 'other seed')} and ranked by their "
        f"{in_words(reranking.metric)} on validation images. {plain(reranking.verdict)} "
        "This network was then trained on training and validation images together for "
        f"{several(test.epochs, 'epoch')}; this model is the one of the first seed, whichever is "
        f"best on test. {test.about_looks}"
    )


def _references(test: FinalTest) -> Iterator[str]:
    yield (
        f"All were trained by the same recipe, for {several(test.epochs, 'epoch')} and with "
        f"{several(len(test.winner.scores), 'seed')}, and tested on the same "
        f"{test.winner.first.images:,} images."
    )
    yield ""
    score = f"test {in_words(test.metric)}"
    header = ("network", score, "95 % over seeds", "winner's lead (95 %)", "parameters")
    yield markdown_table(header, _reference_rows(test))
    yield ""
    yield plain(test.verdict)


def _reference_rows(test: FinalTest) -> Iterator[tuple[str, ...]]:
    for each in test.tested:
        mean, ahead = each.over_seeds, ""
        over = "" if mean.low is None else f"{accuracy(mean.low)} to {accuracy(mean.high)}"
        if each.lead is not None:
            ends = [accuracy(end, sign=True) for end in (each.lead.low, each.lead.high)]
            ahead = f"{accuracy(each.lead.mean, sign=True)} ({' to '.join(ends)})"
        name = plain(f"{each.contender.name} ({each.contender.how})")
        yield name, accuracy(mean.mean), over, ahead, f"{each.contender.parameters:,}"


def _classes(test: FinalTest) -> str:
    first = test.winner.first
    known = zip(test.classes, first.recalls, first.confusion, strict=True)
    rows = ((plain(name), accuracy(recall), f"{sum(n):,}") for name, recall, n in known)
    return markdown_table(("class", "recall", "test images"), rows)


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
    yield f"{counts}, measured on {plain(here.device)}{threads}."
    yield ""
    yield markdown_table(("batch", "median", "95th percentile", "memory"), rows)
