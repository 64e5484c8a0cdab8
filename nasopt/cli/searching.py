"""The verbs that search: what they need of training is imported when they are called."""

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nasopt.errors import StudyError

if TYPE_CHECKING:
    from nasopt.search.comparison import Comparison
    from nasopt.search.deadline import Deadline
    from nasopt.search.experiment import Experiment
    from nasopt.search.on_ray import Node
    from nasopt.search.places import Place
    from nasopt.search.search import Search
    from nasopt.search.working import Ended, Tell

logger = logging.getLogger("nasopt")


def describe(args: argparse.Namespace) -> None:
    """Describe the space of STUDY: parameters, size, ranges of cost, seconds per trial here."""
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import display
    from nasopt.search.describe import describe
    from nasopt.search.loading import load_experiment

    experiment = load_experiment(args.study)
    description = describe(experiment, args.device)
    if args.json:
        display.print_json(description.to_json())
        return
    out = display.console()
    display.print_description(out, experiment.name, description)
    display.print_next(
        out,
        [
            (same("noise", args), "what one training can tell, before the budget is spent"),
            (same("run", args), f"search: {experiment.trials} trials"),
        ],
    )


def noise(args: argparse.Namespace) -> None:
    """Measure how much of what a search of STUDY sees is architecture, and how much is luck.

    Trains a few random networks with a few training seeds each. The trainings are kept in the
    database: asking again costs nothing.
    """
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import display
    from nasopt.search.loading import load_experiment
    from nasopt.search.noise import NoiseStudy

    experiment = load_experiment(args.study)
    study = NoiseStudy(
        experiment,
        args.storage,
        args.device,
        architectures=args.architectures,
        seeds=args.seeds,
    )
    display.follow_noise(display.console(stderr=args.json), study)
    if args.json:
        display.print_json(study.noise.to_json())
        return
    out = display.console()
    display.print_noise(out, study.noise)
    display.print_next(out, [(same("run", args), "search")], args.storage)


def run(args: argparse.Namespace) -> None:
    """Run a study to its end, or go on with it where it was left.

    Ctrl-C stops within a batch; the same command goes on. If nothing is left to do, it shows the
    outcome.
    """
    from nasopt.analysis.outcome import result
    from nasopt.reporting.commands import command, same
    from nasopt.reporting.terminal import display, results

    args.deadline = deadline_of(args.time)
    places = _places(args)
    if args.profile and (places or args.finals):
        other = "--workers" if places else "--finals"
        raise StudyError(f"--profile: of one worker; leave out {other}")
    search = _search(args, trains=not places)
    if args.finals:
        from nasopt.cli.finals import check_place

        check_place(search.experiment)
    spent: dict[str, float] = {}
    if places and search.left:
        search.taken_over(_watched(search_at, args, places, search))
    else:
        spent = display.follow_search(display.console(stderr=args.json), search)
    found = result(search.study)
    if args.finals:
        from nasopt.cli.finals import finals_after

        finals_after(search, args)
        return
    if args.json:
        profile = {"profile": spent} if args.profile else {}
        time = {"out_of_time": search.out_of_time} if args.time else {}
        display.print_json(found.to_json() | profile | time)
        return
    out = display.console()
    display.print_ended(out, search)
    if spent:
        display.print_profile(out, spent)
    results.print_result(out, found)
    other = "random" if args.sampler.lower() != "random" else "surrogate"
    location = search.evaluator.location
    finals = (same("finals", args), "the best networks trained again, the first tested and written")
    display.print_next(
        out,
        [
            *([finals] if found.best else []),
            (command("show", location, "--trial", "N"), "any trial"),
            (
                same("run", args, "--sampler", other, *_budget(args)),
                "the same search by another sampler",
            ),
            (command("dashboard", location), "browse it"),
        ],
        args.storage,
    )


def _budget(args: argparse.Namespace) -> list[object]:
    """Return the options of a run that a search by another sampler shares with it."""
    shared = {
        "--seed": args.seed or None,
        "--trials": args.trials,
        "--time": args.time,
        "--workers": args.workers,
    }
    return [word for name, value in shared.items() if value is not None for word in (name, value)]


def deadline_of(time: str | None) -> "Deadline":
    """Return the deadline of --time, which counts from here."""
    from nasopt.search.deadline import Deadline, read_seconds

    return Deadline.after(None if time is None else read_seconds(time))


def _places(args: argparse.Namespace) -> "list[Place] | list[Node]":
    """Return the places of the worker processes, of which one is here; none if one was asked for.

    From here on `args` have one device.
    """
    from nasopt.search.places import find_places

    if args.ray is not None:
        return _nodes(args)
    for option in ("gpus_per_worker", "cpus_per_worker"):
        if getattr(args, option) is not None:
            raise StudyError(f"{option}: of workers on Ray; give --ray, or leave it out")
    places = find_places(args.device, args.workers, args.workers_per_gpu)
    places[0].take()
    args.asked_device, args.device = args.device, places[0].device
    workers = sum(place.trainings for place in places)
    return places if workers > 1 or (args.workers or 1) > 1 else []


def _nodes(args: argparse.Namespace) -> "list[Node]":
    """Return the places of the workers in the Ray cluster of `args`, once it can be reached.

    From here on the device of `args` is this machine's own, which trains nothing.
    """
    from nasopt.search import on_ray

    if args.workers_per_gpu is not None:
        raise StudyError("workers_per_gpu: Ray deals parts of a GPU; use --gpus-per-worker 0.5")
    for option in ("profile", "analyse_only", "studies"):
        if getattr(args, option, None):
            raise StudyError(f"{option}: needs no workers on Ray; leave out --ray")
    on_ray.connect(args.ray, args.study)
    on_ray.check_storage(args.storage)
    share = args.gpus_per_worker, 1 if args.cpus_per_worker is None else args.cpus_per_worker
    nodes = on_ray.find_nodes(args.device, args.workers, *share)
    args.device = "auto"
    return nodes


def _watched(
    work: Callable[[Any, "Tell"], None],
    args: argparse.Namespace,
    places: "list[Place] | list[Node]",
    done_here: "Search | Comparison",
) -> "Ended":
    """Watch workers at `places`, as many as find work, to their end; return how that was."""
    from nasopt.reporting.terminal import display
    from nasopt.reporting.terminal.workers import follow_workers
    from nasopt.search.on_ray import Node, RayCrew
    from nasopt.search.places import at_most
    from nasopt.search.processes import Crew

    crew: Crew[Any]
    nodes = [place for place in places if isinstance(place, Node)][: done_here.left]
    if nodes:
        crew = RayCrew(work, [(args, node) for node in nodes], nodes[0].share)
    else:
        local = [place for place in places if not isinstance(place, Node)]
        local = at_most(_apart_if_needed(local, done_here.experiment), done_here.left)
        given = [(args, place) for place in local]
        crew = Crew(work, given, [place.trainings for place in local])
    follow_workers(display.console(stderr=args.json), iter(crew))
    return crew.done


def _apart_if_needed(places: "list[Place]", experiment: "Experiment") -> "list[Place]":
    """Return `places` with a process for each worker, if the experiment's cannot share one."""
    from nasopt.search.places import apart

    shared = any(place.trainings > 1 for place in places)
    if not (shared and experiment.needs_process):
        return places
    logger.warning(
        "workers_per_gpu: %s; so each has a process of its own, and on a card they take turns",
        experiment.needs_process,
    )
    return apart(places)


def search_at(told: "tuple[argparse.Namespace, Place | Node]", tell: "Tell") -> None:
    """Run the search of a command in a process of its own, as the workers of a place."""
    _work_at(_search, *told, tell)


def compare_at(told: "tuple[argparse.Namespace, Place | Node]", tell: "Tell") -> None:
    """Run the comparison of a command in a process of its own, as the workers of a place."""
    _work_at(_comparison, *told, tell)


def _work_at(
    make: Callable[..., Any],
    args: argparse.Namespace,
    place: "Place | Node",
    tell: "Tell",
) -> None:
    from nasopt.cli.guarding import quieten
    from nasopt.search.on_ray import shipped_file
    from nasopt.search.places import Place
    from nasopt.search.working import work_on

    trainings = place.trainings if isinstance(place, Place) else 1

    def begin() -> Any:
        if args.ray is not None and args.study is not None:
            args.study = shipped_file(args.study)
        place.take()
        args.device = place.device
        return make(args)

    def begin_all() -> list[Any]:
        first = begin()
        return [first, *(make(args, beside=first) for _ in range(1, trainings))]

    quieten()
    if trainings > 1:
        from nasopt.search.threads import work_together

        work_together(begin_all, tell, place.where, place.device)
    else:
        work_on(begin, tell, place.where)


def _search(
    args: argparse.Namespace, *, trains: bool = True, beside: "Search | None" = None
) -> "Search":
    """Return the search of a command; of several in a process, one `beside` the first."""
    from nasopt.reporting.notes import TrialNotes
    from nasopt.search.loading import load_experiment
    from nasopt.search.search import Search

    experiment = load_experiment(args.study) if beside is None else beside.experiment
    if args.warm_start:
        experiment = replace(experiment, warm_start=args.warm_start)
    deadline = args.deadline
    callbacks: list[Any] = [TrialNotes()]
    if args.finals:
        from nasopt.models.finals import SEEDS, TOP
        from nasopt.models.pace import KeptBack, TimeForFinals

        kept = TimeForFinals(experiment, TOP, SEEDS)
        deadline = KeptBack.before(deadline, kept)
        callbacks.append(kept)
    search = Search(
        experiment,
        sampler=args.sampler,
        seed=args.seed,
        storage=args.storage,
        trials=args.trials,
        device=args.device,
        profile=args.profile,
        deadline=deadline,
        evaluator=None if beside is None else beside.evaluator.beside(),
        trains=trains,
        callbacks=callbacks,
    )
    if args.finals:
        kept(search.study)
    return search


def compare(args: argparse.Namespace) -> None:
    """Compare samplers: run studies by several of them and seeds, and tell which is better.

    Runs the studies of STUDY that are missing, trains their winners again with other seeds, and
    tells what can be told. On a --benchmark all results are known beforehand, and winners are
    judged by the mean over replicates. With --analyse-only, or --studies of a database, nothing is
    trained. Ctrl-C stops within a batch; the same command goes on.
    """
    from nasopt.analysis.curves import csv_output, write_csv
    from nasopt.analysis.selection import compare_studies
    from nasopt.reporting.commands import same
    from nasopt.reporting.terminal import comparison as scoreboard
    from nasopt.reporting.terminal import display

    if args.csv is not None:
        csv_output(args.csv).check()
    args.deadline = deadline_of(args.time)
    places = _places(args)
    if args.studies is not None:
        if not args.storage:
            raise StudyError("--studies: of which database? name it with --storage")
        unused = {name: getattr(args, name) for name in ("time", "workers")}
        for name, value in (_given(args) | unused).items():
            option = name.replace("_", "-")
            if value is not None:
                raise StudyError(f"--{option}: --studies are compared as they are; leave it out")
        result = compare_studies(
            args.storage, args.studies, replicates=args.replicates, baseline=args.baseline
        )
    else:
        comparison = _comparison(args, trains=not places)
        if places and comparison.left:
            done = _watched(compare_at, args, places, comparison)
            comparison.out_of_time = done.out_of_time
        else:
            scoreboard.follow_comparison(display.console(stderr=args.json), comparison)
        if comparison.out_of_time:
            if args.json:
                display.print_json({"out_of_time": comparison.out_of_time})
            else:
                scoreboard.print_out_of_time(display.console(), comparison)
            return
        result = comparison.result
    if args.csv is not None:
        write_csv(args.csv, result.rows)
    if args.json:
        display.print_json(result.to_json())
        return
    out = display.console()
    scoreboard.print_comparison(out, result)
    verbs = ("noise", "compare") if args.study else ("compare",) if args.benchmark else ()
    again = {verb: same(verb, args) for verb in verbs}
    location = args.storage or comparison.location
    commands = scoreboard.next_commands(result, str(location), again)
    display.print_next(out, commands, args.storage, args.benchmark)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options given on the command line that say which studies to run, by name."""
    names = ("samplers", "seeds", "trials", "epochs_budget")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _comparison(
    args: argparse.Namespace, *, trains: bool = True, beside: "Comparison | None" = None
) -> "Comparison":
    """Return the comparison of a command; of several in a process, one `beside` the first."""
    from nasopt.reporting.notes import TrialNotes
    from nasopt.search.comparison import Comparison
    from nasopt.search.experiment import Experiment
    from nasopt.search.loading import load_experiment

    if beside is not None:
        experiment = beside.experiment
    elif args.benchmark is not None:
        experiment = Experiment.on_benchmark(args.benchmark)
    else:
        experiment = load_experiment(args.study)
    first = None if beside is None else beside.evaluator
    return Comparison(
        experiment, storage=args.storage, device=args.device, analyse_only=args.analyse_only,
        replicates=args.replicates, baseline=args.baseline, deadline=args.deadline,
        evaluator=None if first is None else first.beside(), trains=trains,
        callbacks=[TrialNotes()], **_given(args),
    )  # fmt: skip
