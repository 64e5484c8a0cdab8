import re
import shlex
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note

import nasopt
from nasopt import Experiment
from nasopt.analysis.record import Record
from nasopt.analysis.selection import studies_together
from nasopt.cli.main import VERBS
from nasopt.cli.options import make_parser
from nasopt.reporting.commands import command, commands, needed, same
from nasopt.reporting.html import write_report
from nasopt.reporting.notes import escaped
from nasopt.storage.opening import open_storage
from tests.examples import small
from tests.reporting.dashboard.serving import filled


def records(database) -> list[Record]:
    return studies_together(open_storage(database, "read"))[0]


def is_understood(command: str) -> bool:
    parser, _ = make_parser(VERBS)
    return bool(parser.parse_args(shlex.split(command)[1:]))


def test_a_study_is_run_again_in_its_database_whatever_its_name(tmp_path):
    experiment = small(trials=2, name="my study; rm *")
    for sampler in ("random", "tpe"):
        nasopt.run(experiment, sampler=sampler, seed=3, storage=tmp_path / "a b.db", device="cpu")
    found = commands(records(tmp_path / "a b.db"), "a b.db")
    assert found == [
        f"nasopt run 'my study; rm *.py' --sampler {sampler} --seed 3 --trials 2 --storage 'a b.db'"
        for sampler in ("random", "tpe")
    ]
    assert all(map(is_understood, found))


def test_a_sampler_of_ones_own_is_run_again_by_a_line_of_python_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sampler, experiment = optuna.samplers.RandomSampler(), small(trials=1)
    for given in ("random", sampler, {"mine": "tpe"}):
        nasopt.run(experiment, sampler=given, storage="x.db", device="cpu")
    first, *others = commands(records("x.db"), "y.db")
    assert is_understood(first)
    assert others[0] == (
        'nasopt.run(experiment, sampler={"RandomSampler": sampler}, seed=0, trials=1, '
        'storage="y.db")  # in Python, with your sampler'
    )
    for line in others:
        exec(line, {"nasopt": nasopt, "experiment": experiment, "sampler": sampler})
    names = [study.name for study in records("y.db")]
    assert names == ["experiment/RandomSampler/0", "experiment/mine/0"]


def test_studies_within_a_budget_of_epochs_are_made_by_a_comparison(tmp_path):
    for samplers, baseline in (("random,tpe", ""), ("tpe,gp", " --baseline tpe")):
        database = tmp_path / f"{samplers}.db"
        nasopt.compare(
            small(), samplers=samplers, seeds=2, epochs_budget=4, replicates=0, storage=database,
            device="cpu", baseline=samplers.split(",")[0],
        )  # fmt: skip
        (found,) = commands(records(database), "x.db")
        assert found == (
            f"nasopt compare experiment.py --samplers {samplers} --seeds 2 --epochs-budget 4"
            f"{baseline} --storage x.db"
        )
        assert is_understood(found)


def test_a_whole_comparison_is_made_by_one_command(tmp_path):
    for sampler in ("random", "tpe"):
        for seed in range(2):
            nasopt.run(
                small(trials=1), sampler=sampler, seed=seed, storage=tmp_path / "x.db", device="cpu"
            )
    studies = records(tmp_path / "x.db")
    (found,) = commands(studies, "x.db")
    assert found == (
        "nasopt compare experiment.py --samplers random,tpe --seeds 2 --trials 1 --storage x.db"
    )
    assert is_understood(found)
    assert len(commands(studies[1:], "x.db")) == 3


def test_a_comparison_that_began_with_an_earlier_search_is_made_study_by_study(tmp_path):
    nasopt.run(small(name="old"), storage=tmp_path / "old.db", sampler="random", device="cpu")
    warm = small(trials=1, warm_start=tmp_path / "old.db")
    nasopt.compare(
        warm, samplers="random,surrogate", seeds=1, storage=tmp_path / "x.db", device="cpu"
    )
    random, surrogate = commands(records(tmp_path / "x.db"), "x.db")
    assert random == (
        "nasopt run experiment.py --sampler random --seed 0 --trials 1 --storage x.db"
    )
    assert surrogate == (
        "nasopt run experiment.py --sampler surrogate --seed 0 --trials 1 "
        f"--warm-start {tmp_path / 'old.db'} --storage x.db"
    )
    assert is_understood(surrogate)


def test_studies_of_a_table_are_made_and_judged_with_the_table(tmp_path, macro):
    nasopt.compare(
        Experiment.on_benchmark(macro, trials=3), samplers="random,tpe", seeds=2,
        storage=tmp_path / "x.db",
    )  # fmt: skip
    found = records(tmp_path / "x.db")
    assert commands(found, "x.db") == [
        "nasopt compare --benchmark TABLE --samplers random,tpe --seeds 2 --trials 3 --storage x.db"
    ]
    assert "called nasbenchmacro here" in needed(found[0])


def test_studies_of_a_table_that_a_study_file_names_are_run_from_a_file(tmp_path, macro):
    experiment = Experiment.on_benchmark(macro, trials=3, objectives=("accuracy", "macs"))
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    found = records(tmp_path / "x.db")
    assert commands(found, "x.db") == [
        "nasopt run STUDY.py --sampler random --seed 0 --trials 3 --storage x.db"
    ]
    assert needed(found[0]) == "In place of STUDY.py goes the file of the experiment."
    named = replace(found[0], name="mine/random/0")
    assert needed(named) == "mine.py is the file of the experiment."


def test_a_study_that_began_with_another_says_so_everywhere(tmp_path):
    nasopt.run(small(trials=2), sampler="random", storage=tmp_path / "a.db", device="cpu")
    warm = small(trials=2, warm_start=tmp_path / "a.db", name="warm")
    nasopt.run(warm, storage=tmp_path / "b.db", device="cpu")
    (study,) = records(tmp_path / "b.db")
    assert commands([study], "b.db") == [
        f"nasopt run warm.py --sampler surrogate --seed 0 --trials 2 --warm-start {tmp_path}/a.db "
        "--storage b.db"
    ]
    told = f"2 trainings of experiment/random/0 ({tmp_path}/a.db)"
    write_report(open_storage(tmp_path / "b.db", "read"), tmp_path / "b.html")
    assert f"<dd>{told}</dd>" in (tmp_path / "b.html").read_text()
    filled(tmp_path / "b.db")
    note = get_note(
        optuna.load_study(study_name="warm/surrogate/0", storage=f"sqlite:///{tmp_path}/b.db")
    )
    assert f"Begun with {escaped(told)}." in note


def test_a_command_is_quoted_and_has_no_password():
    told = command("show", "postgresql://me:secret@host/nas", "--study", "my study/tpe/0")
    assert told == "nasopt show postgresql://me@host/nas --study 'my study/tpe/0'"
    assert is_understood(told)


@pytest.mark.parametrize(
    ("line", "verb", "told"),
    [
        ("describe a.py", "run", "nasopt run a.py"),
        ("run 'a b.py' --storage x.db --device cpu", "run",
         "nasopt run 'a b.py' --storage x.db --device cpu"),
        ("compare a.py --baseline tpe --replicates 0", "compare",
         "nasopt compare a.py --baseline tpe --replicates 0"),
        ("compare a.py --baseline tpe", "noise", "nasopt noise a.py"),
        ("compare --benchmark nasbench201:cifar10", "compare",
         "nasopt compare --benchmark nasbench201:cifar10"),
    ],
)  # fmt: skip
def test_the_next_command_is_on_the_same_file_database_and_device(line, verb, told):
    parser, _ = make_parser(VERBS)
    assert same(verb, parser.parse_args(shlex.split(line))) == told


def test_commands_are_put_together_here_alone():
    package = Path(nasopt.__file__).parent
    spelled = re.compile(r'f"nasopt \w|\["nasopt"|"[^"\n]*the same command')
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if spelled.search(path.read_text())
    }
    assert found == {"reporting/commands.py", "text.py"}
