"""`Contents`: the content of a page, section by section; the template arranges it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan

from optuna.trial import FrozenTrial

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import Row, study_rows
from nasopt.analysis.effective_layers import EffectiveLayers
from nasopt.analysis.examples import examples, shown
from nasopt.analysis.final_test import latest_test
from nasopt.analysis.front import COSTS
from nasopt.analysis.incumbents import course
from nasopt.analysis.learning import savings
from nasopt.analysis.outcome import Outcome, layer_rows
from nasopt.analysis.record import Record, devices_of, furthest_trained, remarks
from nasopt.analysis.selection import budget_of, compare_records, is_done, spent_of
from nasopt.errors import StudyError
from nasopt.reporting import captions
from nasopt.reporting.commands import commands, needed
from nasopt.reporting.figures.drawing import Block, blocks, most_filters
from nasopt.reporting.html import sections
from nasopt.reporting.html.final_model import FinalModel
from nasopt.reporting.html.picture import PartPicture, pictured
from nasopt.reporting.html.sections import Section
from nasopt.reporting.names import data_name
from nasopt.space.architecture import Architecture
from nasopt.space.limits import LATENCY
from nasopt.storage.database import shown_url
from nasopt.storage.looks import Looks
from nasopt.storage.rdb import Storage
from nasopt.storage.record import TrialRecord, key_of
from nasopt.text import accuracy, duration, latency, probability, several, trained_on
from nasopt.training.metrics import in_words

NOUNS = {"evaluations": "trials", "epochs": "epochs"}


@dataclass(frozen=True)
class Drawn:
    """A network to look at; a benchmark's has no blocks."""

    name: str
    outcome: Outcome
    blocks: list[Block]

    @property
    def title(self) -> str:
        """The title of a network: "The best: 95.00%", trained again, if it was."""
        honest, seen = self.outcome.fresh_mean, self.outcome.accuracy or 0
        return f"{self.name}: {accuracy(seen if honest is None else honest)}"

    @property
    def accuracies(self) -> list[str]:
        """The meaning of that figure, and of those beside it."""
        seen, fresh = accuracy(self.outcome.accuracy or 0), self.outcome.fresh_mean
        if fresh is None:
            return [f"Validation {in_words(self.outcome.metric)}: {seen}"]
        seeds = several(len(self.outcome.fresh), "other seed")
        return [f"Trained again with {seeds}: {accuracy(fresh)}", f"As the search saw it: {seen}"]

    @property
    def size(self) -> str:
        """The size as "1,234 parameters, 56,789 MACs", if they are known."""
        counts = {"parameters": self.outcome.parameters, "MACs": self.outcome.macs}
        known = [f"{n:,} {name}" for name, n in counts.items() if n is not None]
        return ", ".join(filter(None, [*known, latency(self.outcome.record.latency)]))


@dataclass(frozen=True)
class TrialRow:
    """A row of the table of trials, as texts; "" for an unknown value."""

    study: str
    number: int
    ended: str
    accuracy: str
    parameters: str
    macs: str
    epochs: str
    seconds: str
    network: str


class Contents:
    """The content for `studies` of one experiment; `others` name studies of other experiments."""

    def __init__(self, studies: Sequence[Record], others: Sequence[str], storage: Storage) -> None:
        self.studies, self.others, self.storage = studies, others, storage
        self.first = studies[0]
        self.title = self.first.name if len(studies) == 1 else self.first.name.rsplit("/", 2)[0]
        self.space = self.first.space
        self.effective_layers = None if self.space is None else EffectiveLayers(self.space)
        self.shown = shown(studies)
        self.savings = savings(studies)
        self.tried = len(furthest_trained(studies))
        self.examples = examples(studies, storage)
        self.remarks = remarks(studies)
        self.by_sampler = study_rows(studies)

    @property
    def metric(self) -> str:
        return in_words(self.first.metric)

    @property
    def definition(self) -> str:
        """What a metric of its own is; "" for the accuracy, which the page always explains."""
        return captions.DEFINITIONS.get(self.first.metric, "")

    @property
    def opening(self) -> str:
        best = None if self.examples is None else self.examples.best
        return captions.opening(self.studies, self.tried, best)

    @property
    def nothing_found(self) -> str:
        return captions.nothing_found(self.studies)

    @property
    def searched(self) -> str:
        return captions.searched(self.first)

    @property
    def picture(self) -> list[PartPicture]:
        return pictured(self.first)

    @property
    def under_way(self) -> list[str]:
        """The studies that are not at their end, a line each."""
        budgets = {study: budget_of(study) for study in self.studies}
        return [
            f"{study.name}: {spent_of(study, budget):,} of {budget.amount:,} {NOUNS[budget.unit]}"
            for study, budget in budgets.items()
            if not is_done(study, budget)
        ]

    @property
    def facts(self) -> Iterator[tuple[str, str]]:
        """The first figures of the page, each with the name of its count."""
        yield "possible networks", captions.size_in_words(self.first)
        yield "networks tried", f"{self.tried:,}"
        best = self.examples and self.examples.best
        if best and best.fresh_mean is not None:
            yield f"{self.metric} of the best, trained again", accuracy(best.fresh_mean)
        if best and best.accuracy is not None:
            seen = (
                f"best {self.metric}"
                if best.fresh_mean is None
                else f"its {self.metric} as the search saw it"
            )
            yield seen, accuracy(best.accuracy)
        yield "epochs of training", f"{self.savings.epochs:,}"
        if self.savings.share > 0:
            yield "epochs saved by pruning", f"{self.savings.share:.0%}"
        seconds = sum(row.seconds for row in self._rows)
        if seconds > 0:
            yield "time of training", duration(seconds)

    @property
    def _rows(self) -> Iterator[Row]:
        for by_seed in self.by_sampler.values():
            for rows in by_seed.values():
                yield from rows

    @cached_property
    def drawn(self) -> list[Drawn]:
        """The best network, the one in the middle and the worst, if they differ."""
        if self.examples is None:
            return []
        found = self.examples
        named = {"The best": found.best, "In the middle": found.median, "The worst": found.worst}
        if found.complete == 1:
            named = {"The only one": found.best}
        built = [o.architecture for o in named.values() if isinstance(o.architecture, Architecture)]
        most = most_filters(built) if built else 1
        drawn: dict[tuple[str, int], Drawn] = {}
        for name, outcome in named.items():
            drawn.setdefault(
                (outcome.study, outcome.number), Drawn(name, outcome, self._blocks(outcome, most))
            )
        return list(drawn.values())

    def _blocks(self, outcome: Outcome, most: int) -> list[Block]:
        if not isinstance(outcome.architecture, Architecture) or self.space is None:
            return []
        assert self.space.input_shape is not None
        return blocks(outcome.architecture, self.space.input_shape, most)

    @property
    def how_drawn(self) -> str:
        skips = any(block.skips for each in self.drawn for block in each.blocks)
        own = self.space is not None and any(part.layer.is_own for part in self.space.parts)
        more = [captions.OWN] * own + [captions.SKIPS] * skips
        return " ".join([captions.HOW_DRAWN, *more])

    @property
    def about_examples(self) -> str:
        return "" if self.examples is None else captions.about_examples(self.examples)

    @property
    def layer_rows(self) -> dict[str, list[str]]:
        """The lecture's table of the best network; empty if it has no layers to show."""
        best = self.examples and self.examples.best.architecture
        return layer_rows(best.convolutions) if isinstance(best, Architecture) else {}

    @property
    def dense_widths(self) -> str:
        best = self.examples and self.examples.best.architecture
        dense = best.dense if isinstance(best, Architecture) else ()
        return " ".join(str(layer.chosen("width")) for layer in dense) or "none"

    @cached_property
    def comparison(self) -> ComparisonResult | str:
        """The samplers compared; or the reason why they are not."""
        if len(self.by_sampler) == 1:
            return f"{self.first.sampler} alone has searched here, so there is none to compare with"
        if self.first.is_benchmark:
            return (
                "what the networks found are truly worth is in the table that was searched, and "
                "that is not in the database; the command at the end of this page judges by it"
            )
        if self.under_way:
            return "not all studies are at their end yet, so the samplers cannot be compared fairly"
        try:
            return compare_records(self.studies, self.storage)
        except StudyError as error:
            return str(error)

    @property
    def verdict(self) -> str:
        assert not isinstance(self.comparison, str)
        return self.comparison.verdict

    @property
    def standings(self) -> Iterator[tuple[str, ...]]:
        """The texts of the table of samplers."""
        assert not isinstance(self.comparison, str)
        for each in self.comparison.standings:
            gap = each.difference
            yield (
                each.sampler,
                str(len(each.seeds)),
                accuracy(each.fresh),
                accuracy(each.seen),
                "baseline" if gap is None else accuracy(gap.mean, sign=True),
                ""
                if gap is None or isnan(gap.low)
                else " to ".join(accuracy(end, sign=True) for end in (gap.low, gap.high)),
                "" if gap is None or gap.holm is None else probability(gap.holm),
                f"{each.epochs:,.0f}",
            )

    @property
    def standing_headers(self) -> tuple[str, ...]:
        assert not isinstance(self.comparison, str)
        of_front = self.comparison.score == "hypervolume"
        return (
            "sampler", "studies", "trained again", "share dominated" if of_front else "best seen",
            f"over {self.comparison.baseline}",
            "95% interval", "p", "epochs a study",
        )  # fmt: skip

    @cached_property
    def costs(self) -> list[str]:
        """The costs that there is a figure of: latency, if it was measured."""
        return [*COSTS, *([LATENCY] if self.first.timed_on else [])]

    @cached_property
    def sections(self) -> dict[str, Section]:
        """The figures by name, each with its caption or the reason why there is none."""
        best = None
        if self.examples is not None:
            best = self.examples.best.study, self.examples.best.number
        found = [
            sections.progress(course(self.studies, self.by_sampler), self.studies),
            sections.comparison(self.comparison),
            sections.learning(self.studies, self.shown, best),
            *(sections.front(self.studies, self.shown, cost) for cost in self.costs),
            sections.choices(self.studies),
            sections.importance(self.studies),
        ]
        if any(TrialRecord.of(t).prediction for study in self.studies for t in study.counted):
            found.append(sections.expectations(self.studies, self.shown))
        return {each.name: each for each in found}

    @cached_property
    def final(self) -> FinalModel | None:
        """The final model, if `nasopt finals` has tested one."""
        name = self.first.name.rsplit("/", 2)[0]
        test = latest_test(Looks(self.storage.engine), self.first.experiment, name)
        return None if test is None else FinalModel(test)

    @cached_property
    def trials(self) -> list[TrialRow]:
        """The trials that are shown, the best first."""
        pairs = [
            (study, trial)
            for study in self.studies
            for trial in study.counted
            if (study.name, trial.number) in self.shown.trials
        ]
        pairs.sort(key=lambda pair: -(pair[1].values or [-1.0])[0])
        return [self._trial(study, trial) for study, trial in pairs]

    def _trial(self, study: Record, trial: FrozenTrial) -> TrialRow:
        record = TrialRecord.of(trial)
        return TrialRow(
            study=study.name,
            number=trial.number,
            ended=", ".join([record.reason or trial.state.name.lower(), *_over(study, trial)]),
            accuracy=accuracy(trial.values[0]) if trial.values else "",
            parameters=_count(record.parameters),
            macs=_count(record.macs),
            epochs=_count(record.epochs),
            seconds=f"{record.seconds:.1f}" if record.seconds else "",
            network=self._network(trial),
        )

    def _network(self, trial: FrozenTrial) -> str:
        if key_of(trial.user_attrs) is None:
            return ""
        if self.effective_layers is None:
            return " ".join(map(str, trial.params.values()))
        return captions.in_a_line(self.effective_layers.layers(trial.params).values())

    @property
    def settings(self) -> Iterator[tuple[str, str]]:
        """The settings that one has to know to reproduce it."""
        study, begun = self.first, self.first.experiment
        yield "studies", ", ".join(study.name for study in self.studies)
        yield "data", data_name(begun.dataset)
        yield "training", captions.training(begun.recipe)
        yield "looked for", " and ".join(map(in_words, study.objectives))
        yield "limits", ", ".join(study.limits) or "none"
        yield "pruner", study.pruner
        yield "training seed", str(begun.seed)
        for told in dict.fromkeys(map(captions.warm_start, self.studies)):
            if told:
                yield "begun with", told
        devices = devices_of(trial for study in self.studies for trial in study.counted)
        if devices:
            yield "trained on", trained_on(devices)
        if study.timed_on:
            how = "" if study.is_benchmark else ", float32, untrained"
            yield "latency of", f"{study.timed_on}{how}"
        yield "versions", captions.pairs(study.versions)

    @property
    def commands(self) -> list[str]:
        """The commands that make the studies again."""
        return commands(self.studies, shown_url(str(self.storage.path or self.storage.url)))

    @property
    def needed(self) -> str:
        return needed(self.first)


def _over(study: Record, trial: FrozenTrial) -> list[str]:
    return ["over the limits in force"] if study.broken(trial) else []


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
