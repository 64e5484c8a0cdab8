"""What is known of networks beyond what a search saw of them: other trainings, or a table."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from nasopt.analysis.curves import Budget, Row, Studies
from nasopt.analysis.noise import SAMPLE_SEED, Noise, recorded_noise
from nasopt.analysis.record import Record
from nasopt.analysis.regret import Truth, truth, with_true
from nasopt.analysis.winners import MOST_REPLICATES, fresh_accuracies, fresh_seeds
from nasopt.storage.ledger import Ledger

if TYPE_CHECKING:  # it imports torch
    from nasopt.benchmarks import Benchmark

NOISE_DRAWS = 1_000  # among which the networks of a noise study are looked for


class Evidence(ABC):
    """What judges the winners of studies, chosen once for a comparison."""

    def completed(self, study: Record, rows: list[Row]) -> list[Row]:
        """Return the rows of `study` with the true values of its incumbents, where known."""
        return rows

    def replicates(self, study: Record, params: Mapping[str, Any]) -> int:
        """Return the number of other seeds that the network of `params` was trained with."""
        return 0

    @abstractmethod
    def fresh(self, study: Record, params: Mapping[str, Any], replicates: int) -> tuple[float, ...]:
        """Return the accuracies of a network that the search did not choose it by."""

    def noise(self, study: Record) -> Noise | None:
        """Return the noise that was measured of the experiment of `study`."""
        return None

    def truth(self, studies: Sequence[Record], rows: Studies, budget: Budget) -> Truth | None:
        """Return the optimum and the regret of each sampler, where they are known."""
        return None


@dataclass(frozen=True)
class Trainings(Evidence):
    """Whole trainings in a ledger: the score of each by its key."""

    accuracies: Mapping[str, float]

    @classmethod
    def of(cls, ledger: Ledger, epochs: int) -> "Trainings":
        return cls(ledger.final_scores(epochs))

    def replicates(self, study: Record, params: Mapping[str, Any]) -> int:
        fresh = fresh_seeds(study.experiment.evaluation(params), MOST_REPLICATES)
        return sum(1 for _ in takewhile(lambda each: each.key in self.accuracies, fresh))

    def fresh(self, study: Record, params: Mapping[str, Any], replicates: int) -> tuple[float, ...]:
        return fresh_accuracies(study.experiment.evaluation(params), self.accuracies, replicates)

    def noise(self, study: Record) -> Noise | None:
        draws = study.experiment.draws(NOISE_DRAWS, SAMPLE_SEED)
        noise = recorded_noise(draws, self.accuracies, limited=bool(study.limits))
        return noise and replace(noise, metric=study.metric)


@dataclass(frozen=True)
class Table(Evidence):
    """A benchmark, which has the true value of every network: the mean of its replicates."""

    benchmark: "Benchmark"

    def completed(self, study: Record, rows: list[Row]) -> list[Row]:
        return with_true(rows, study, self.benchmark) if len(study.objectives) == 1 else rows

    def fresh(self, study: Record, params: Mapping[str, Any], replicates: int) -> tuple[float, ...]:
        return self.benchmark.replicates(params)

    def truth(self, studies: Sequence[Record], rows: Studies, budget: Budget) -> Truth | None:
        single = len(studies[0].objectives) == 1
        return truth(self.benchmark, rows if single else {}, budget, studies[0].limits)
