"""The final model on a page: its scores beside the references, its confusions and mistakes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from nasopt.analysis.final_test import FinalTest
from nasopt.reporting.figures import confusion_figure
from nasopt.reporting.html.sections import Section
from nasopt.text import accuracy, several
from nasopt.training.metrics import METRICS, in_words


@dataclass(frozen=True)
class FinalModel:
    """What a page says of the last look at the test split."""

    test: FinalTest

    @property
    def told(self) -> str:
        """The outcome in a few sentences."""
        first, metric = self.test.winner.first, self.test.metric
        ends = f"{accuracy(first.low)} to {accuracy(first.high)}"
        others = [f"{in_words(each)} {accuracy(first.by(each))}" for each in METRICS]
        chosen = "" if metric == "accuracy" else f" Networks were compared by {in_words(metric)}."
        return (
            f"The winner, {self.test.winner.contender.how}, was trained on training and validation "
            f"images together for {several(self.test.epochs, 'epoch')}. Its model of the first "
            f"seed gets {accuracy(first.accuracy)} of the {first.images:,} test images right (95% "
            f"interval {ends}); {', '.join(others[1:])}.{chosen} {self.test.about_looks}"
        )

    @property
    def rows(self) -> Iterator[tuple[str, ...]]:
        for each in self.test.tested:
            mean, ahead = each.over_seeds, ""
            over = "" if mean.low is None else f"{accuracy(mean.low)} to {accuracy(mean.high)}"
            if each.lead is not None:
                ends = [accuracy(end, sign=True) for end in (each.lead.low, each.lead.high)]
                ahead = f"{accuracy(each.lead.mean, sign=True)} ({' to '.join(ends)})"
            counts = (f"{n:,}" for n in (each.contender.parameters, each.contender.macs))
            yield each.contender.name, accuracy(mean.mean), over, ahead, *counts

    @property
    def headers(self) -> tuple[str, ...]:
        score = f"test {in_words(self.test.metric)}"
        return ("network", score, "95% over seeds", "winner's lead", "parameters", "MACs")

    @property
    def about_references(self) -> list[str]:
        """Where each reference comes from."""
        return [f"{each.contender.name}: {each.contender.how}." for each in self.test.tested[1:]]

    @cached_property
    def confusion(self) -> Section:
        first, classes = self.test.winner.first, self.test.classes
        rows = (
            (name, accuracy(recall) or "none", *map(str, counts))
            for name, recall, counts in zip(classes, first.recalls, first.confusion, strict=True)
        )
        return Section(
            "confusion",
            "A row is a true class, a column what the model took it for. Blue is right, red is "
            "wrong; the stronger, the larger the share of the row.",
            (confusion_figure(classes, first.confusion),),
            table=(("true class", "recall", *classes), *rows),
        )

    @property
    def mistakes(self) -> list[tuple[str, str, str]]:
        """The picture (base64), the name and a line of each mistake that is kept."""
        return [
            (
                each.picture,
                each.file or f"test image {each.image}",
                f"{each.label} taken for {each.predicted} ({each.confidence:.0%})",
            )
            for each in self.test.mistakes
        ]
