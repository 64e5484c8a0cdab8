"""Whether a search finds better networks than chance, told by fresh training seeds.

    python -m tests.benchmarks.winners studies/digits.py studies/fashion_mnist.py

For each study file: random sampling and TPE, three sampler seeds each, then the winner of each
study, and the median network of each random one, trained again with three seeds that no search has
used. It resumes where it was stopped, in runs/winners-<study>.db.
"""

import statistics
import sys

from nasopt import load_experiment
from nasopt.analysis.outcome import result
from nasopt.search.retraining import retrain
from nasopt.search.search import Search

SEEDS = 3
TRIALS = 40


def main(path: str) -> None:
    experiment = load_experiment(path)
    storage = f"runs/winners-{experiment.name}.db"
    print(f"{experiment.name}: {TRIALS} trials, {SEEDS} sampler seeds", flush=True)
    for sampler in ("random", "tpe"):
        best, again, median, seconds, pruned = [], [], [], [], []
        for seed in range(SEEDS):
            search = Search(
                experiment, sampler=sampler, seed=seed, trials=TRIALS, storage=storage, device="cpu"
            )
            for _ in search:
                pass
            study = search.study
            complete = [t for t in study.trials if t.state.name == "COMPLETE"]
            ranked = sorted(complete, key=lambda trial: trial.value)
            best.append(study.best_value)
            winner = experiment.evaluation(study.best_trial.params)
            again.append(retrain(search.evaluator, winner).mean)
            middle = experiment.evaluation(ranked[len(ranked) // 2].params)
            median.append(retrain(search.evaluator, middle).mean)
            seconds.append(sum(t.user_attrs.get("seconds", 0) for t in study.trials))
            pruned.append(result(study).pruned)
        print(
            f"  {sampler:7} best of the search {_spread(best)}, again {_spread(again)}, "
            f"median network {_spread(median)}, pruned {statistics.fmean(pruned):.0f}, "
            f"{statistics.fmean(seconds):.0f} s of training a study",
            flush=True,
        )


def _spread(values: list[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.fmean(values):.4f} +- {error:.4f}"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(argument)
