import csv
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from nasopt.cli.main import main
from tests.commands import fails
from tests.examples import STUDY


def test_a_study_file_becomes_a_study_and_the_lectures_table(study, capsys):
    assert main(["run", "mine.py", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.count("[4/4] trial ") == 1
    assert "mine/surrogate/0: 4 of 4 trials" in out
    for row in ("# of filters", "Size of filters", "Stride", "Validation accuracy", "MACs"):
        assert f"\n{row}" in out
    assert "nasopt show runs/mine.db --trial N" in out
    assert Path("runs/mine.db").exists()


def test_running_it_again_says_that_nothing_is_left_to_do(study, capsys):
    main(["run", "mine.py", "--device", "cpu"])
    capsys.readouterr()
    assert main(["run", "mine.py", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Nothing left to do: all trials are done.")
    assert "# of filters" in out


def test_show_prints_the_table_from_the_database_alone(study, capsys):
    main(["run", "mine.py", "--device", "cpu"])
    run = capsys.readouterr().out
    study.unlink()
    assert main(["show", "runs/mine.db"]) == 0
    shown = capsys.readouterr().out
    table = run[run.index("The best network") : run.index("Next:")]
    assert table in shown


def test_show_prints_any_trial_and_the_list_of_studies(study, capsys):
    main(["run", "mine.py", "--device", "cpu"])
    main(["run", "mine.py", "--device", "cpu", "--sampler", "random", "--seed", "1"])
    capsys.readouterr()
    assert main(["show", "runs/mine.db", "--study", "mine/surrogate/0", "--trial", "2"]) == 0
    assert capsys.readouterr().out.startswith("Trial 2 of mine/surrogate/0 (complete)")
    assert main(["show", "runs/mine.db", "--studies"]) == 0
    out = capsys.readouterr().out
    assert "mine/surrogate/0" in out
    assert "mine/random/1" in out


def test_a_profiled_run_says_what_the_time_of_each_trial_went_into(study, capsys):
    assert main(["run", "mine.py", "--device", "cpu", "--profile"]) == 0
    out = capsys.readouterr().out
    parts = ("data", "forward", "backward", "optimizer", "evaluation", "ledger", "storage")
    lines = [line for line in out.splitlines() if re.match(r"trial \d+: [^(]*: ", line)]
    assert [line.split(":")[0] for line in lines] == [f"trial {n}" for n in range(len(lines))]
    assert len(lines) >= 4
    first = lines[0].split(": ", 2)[2]
    shares = {each.rpartition(" ")[0]: each.rpartition(" ")[2] for each in first.split(", ")}
    assert shares.keys() >= {*parts, "sampler"}
    assert sum(float(share.rstrip("%")) for share in shares.values()) == pytest.approx(100, abs=1)
    table = out[out.index("Part") : out.index("mine/surrogate/0:")].split()
    assert [part for part in parts if part in table] == list(parts)


def test_a_profile_is_part_of_the_json(study, capsys):
    assert main(["run", "mine.py", "--device", "cpu", "--profile", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["profile"]["backward"] > 0
    assert "backward" in captured.err


def test_every_verb_speaks_json(study, capsys):
    assert main(["run", "mine.py", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["done"]) == ("mine/surrogate/0", 4)
    assert found["best"][0]["architecture"][0]["layer"] == "conv"
    assert main(["show", "runs/mine.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert main(["show", "runs/mine.db", "--trial", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == 0
    assert main(["show", "runs/mine.db", "--studies", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["study"] == "mine/surrogate/0"
    assert main(["describe", "mine.py", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 6 + 6**2 + 6**3
    words = ["noise", "mine.py", "--device", "cpu", "--architectures", "2", "--seeds", "2"]
    assert main([*words, "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["share"] <= 1


def test_describe_prints_the_space(study, capsys):
    assert main(["describe", "mine.py", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "conv01..conv03.filters" in out
    assert "258 as written (exact)" in out
    assert "on cpu" in out
    assert "nasopt noise mine.py" in out


def test_noise_prints_its_share_and_what_would_help(study, capsys):
    words = ["noise", "mine.py", "--device", "cpu", "--architectures", "2", "--seeds", "2"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "[4/4] epoch 2" in out
    assert "Share that is architecture" in out
    assert "better half can be judged from 4 networks and 3 seeds on" in " ".join(out.split())


def test_compare_runs_what_is_missing_and_prints_a_table_and_a_sentence(study, capsys):
    words = ["compare", "mine.py", "--device", "cpu", "--samplers", "random,tpe", "--seeds", "1"]
    words += ["--replicates", "1"]
    assert main([*words, "--csv", "rows.csv"]) == 0
    out = capsys.readouterr().out
    assert "[2/2] mine/tpe/0: 4 trials, 8 epochs, best " in out
    assert "mine/random/0: its winner with other seeds has " in out
    assert "mine: 2 studies of 4 evaluations" in out
    assert "\nAfter 4 evaluations 1 pair of studies cannot tell" in out
    assert "nasopt noise mine.py --device cpu" in out
    assert "--samplers random,tpe --seeds 8 --trials 4" in out
    assert len(Path("rows.csv").read_text().splitlines()) == 1 + 2 * 4
    assert main([*words, "--analyse-only", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["sampler"] for each in told["standings"]] == ["random", "tpe"]
    there = ["compare", "--studies", "mine/*", "--storage", "runs/mine.db", "--replicates", "1"]
    assert main([*there, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told


TABLE = "a,b,accuracy\n" + "".join(f"{a},{b},{a * b % 7}\n" for a in range(5) for b in range(5))


def test_compare_on_a_benchmark_looks_results_up_and_prints_their_regret(study, capsys):
    Path("mine.csv").write_text(TABLE)
    words = ["compare", "--benchmark", "mine.csv", "--samplers", "random,tpe", "--seeds", "2"]
    words += ["--trials", "8"]
    assert main([*words, "--csv", "rows.csv"]) == 0
    out = capsys.readouterr().out
    assert "[4/4] mine/tpe/1: 8 trials, 8 epochs, best " in out
    assert "mine: 4 studies of 8 evaluations" in out
    assert re.search(r"\nsampler +true +seen +difference", out)
    assert re.search(r"\nregret after evaluations +1 +2 +4 +8 +place\nrandom, exact +\S+ ", out)
    flat = " ".join(out.split())
    assert "- mine: 25 networks, 1 replicate, 1 epoch, optimum 6.0000." in flat
    assert "After 8 evaluations its winner is worth 5." in flat
    assert "nasopt noise" not in out
    more = "nasopt compare --benchmark mine.csv --samplers random,tpe --seeds 8 --trials 8"
    assert more in flat
    lines = Path("rows.csv").read_text().splitlines()
    assert len(lines) == 1 + 4 * 8
    assert lines[0].endswith(",true")
    assert Path("runs/mine.db").exists()
    assert main([*words, "--analyse-only", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["truth"]["optimum"] == 6
    assert told["winners"][0]["fresh"] == [told["winners"][0]["seen"]]


def test_two_objectives_show_a_front(study, capsys):
    study.write_text(STUDY.replace("trials=4", 'trials=4, objectives=("accuracy", "macs")'))
    assert main(["run", "mine.py", "--device", "cpu"]) == 0
    assert "The Pareto front of accuracy against macs:" in (capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rnu", "mine.py"], "nasopt: rnu: unknown verb; did you mean run?"),
        (["--foo"], "nasopt: --foo: unknown; choose from"),
        (["--verson"], "nasopt: --verson: unknown; did you mean --version?"),
        (["run"], "nasopt: the following arguments are required: STUDY; see nasopt run --help"),
        (["run", "no.py"], "nasopt: no.py: no such file; give the path of a study file"),
        (["run", "mine.py", "--trails", "5"], "nasopt: --trails: unknown; did you mean --trials?"),
        (["run", "mine.py", "--trials", "0"], "nasopt: trials=0: use a whole number from 1"),
        (["run", "mine.py", "--trials", "x"], "nasopt: --trials: invalid int value: 'x'; see"),
        (["run", "mine.py", "--seed", "-1"], "nasopt: seed=-1: use a whole number from 0 to"),
        (["run", "mine.py", "--sampler", "tbe"], "nasopt: sampler='tbe': unknown; did you mean"),
        (["run", "mine.py", "--device", "cup"], "nasopt: device='cup': unknown; did you mean cpu?"),
        (["noise", "mine.py", "--seeds", "1"], "nasopt: seeds=1: a variance needs 2 or more"),
        (["compare"], "nasopt: one of the arguments STUDY --benchmark --studies is required; see"),
        (["compare", "mine.py", "--benchmark", "x"], "nasopt: --benchmark: not allowed with argum"),
        (["compare", "--benchmark", "x", "--studies", "x"], "nasopt: --studies: not allowed with "),
        (["compare", "--benchmark", "nasbench201:cifar01"], "nasopt: benchmark='nasbench201:cifar"),
        (["compare", "--benchmark", "no.csv"], "nasopt: no.csv: cannot be read (No such file or"),
        (["compare", "--benchmark", "nasbench201:cifar10", "--analyse-only"],
         "nasopt: storage=runs/nasbench201-cifar10.db: no such file; look for the path that"),
        (["compare", "mine.py", "--studies", "x"], "nasopt: --studies: not allowed with argument"),
        (["compare", "--studies", "x"], "nasopt: --studies: of which database? name it with --"),
        (["compare", "--studies", "x", "--storage", "no.db"], "nasopt: storage=no.db: no such"),
        (["compare", "--studies", "x", "--storage", "no.db", "--epochs-budget", "3"],
         "nasopt: --epochs-budget: --studies are compared as they are; leave it out"),
        (["compare", "mine.py", "--csv", "no/x.csv"], "nasopt: csv=no/x.csv: no such folder; make"),
        (["compare", "mine.py", "--csv", ""], "nasopt: csv=.: a folder; name a file in it"),
        (["compare", "mine.py", "--seeds", "0"], "nasopt: seeds=0: use a whole number from 1"),
        (["compare", "mine.py", "--samplers", "a"], "nasopt: sampler='a': unknown; choose from"),
        (["compare", "mine.py", "--trials", "2", "--epochs-budget", "3"], "nasopt: trials=2 and"),
        (["compare", "mine.py", "--analyse-only"], "nasopt: storage=runs/mine.db: no such file;"),
        (["show", "no.db"], "nasopt: storage=no.db: no such file; look for the path that a run"),
        (["show", "mine.py"], "nasopt: storage=mine.py: no SQLite database;"),
        (["run", "mine.py", "--storage", "mysql://x/y"], "nasopt: storage=mysql://x/y: use a file"),
    ],
)  # fmt: skip
def test_what_a_user_gets_wrong_is_one_line(study, capsys, words, line):
    before = sorted(study.parent.iterdir())
    assert fails(capsys, *words).startswith(line)
    if words[0] != "noise":  # that one is known only once the database is there
        assert sorted(study.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("experiment = (", "mine.py:1: '(' was never closed"),
        ("import no_such_thing", "mine.py:1: no_such_thing is not installed"),
        ("raise RuntimeError('of its own')", "mine.py:1: RuntimeError: of its own; fix that line"),
        ("", "mine.py: experiment is none"),
    ],
)
def test_an_error_in_a_study_file_is_one_line_with_its_number(study, capsys, content, line):
    study.write_text(content)
    assert fails(capsys, "run", "mine.py").startswith(f"nasopt: {line}")


def test_a_changed_study_file_is_refused(study, capsys):
    main(["run", "mine.py", "--device", "cpu"])
    capsys.readouterr()
    study.write_text(STUDY.replace("epochs=2", "epochs=3"))
    line = fails(capsys, "run", "mine.py", "--device", "cpu")
    assert line.startswith(
        "nasopt: study=mine/surrogate/0: recipe.epochs is 3 now, was 2 when it began"
    )


def test_a_server_that_refuses_is_one_line(study, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        url = f"postgresql://someone:secret@127.0.0.1:{port}/nas"
        line = fails(capsys, "run", "mine.py", "--device", "cpu", "--storage", url)
    assert line.startswith("nasopt: storage=postgresql://someone@127.0.0.1")
    assert "cannot be opened" in line
    assert "secret" not in line


def test_what_to_type_next_keeps_the_database_and_survives_odd_names(study, capsys):
    odd = study.parent / "a [bold]b :smile:.py"
    odd.write_text(STUDY)
    assert main(["run", odd.name, "--device", "cpu", "--storage", "r s/x.db"]) == 0
    out = capsys.readouterr().out
    assert "a [bold]b :smile:/surrogate/0: 4 of 4 trials" in out
    assert "nasopt show 'r s/x.db' --trial N" in out
    again = f"nasopt run '{odd.name}' --storage 'r s/x.db' --device cpu --sampler random"
    assert again in out


def test_without_arguments_it_prints_its_help(capsys):
    assert main([]) == 0
    assert "Begin with: nasopt quickstart" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["quickstart", "describe", "noise", "run", "compare", "show"])
def test_every_verb_has_examples_in_its_help(capsys, verb):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    out = capsys.readouterr().out
    assert f"examples:\n  nasopt {verb}" in out
    assert "--json" in out


def test_a_database_without_studies_is_told_apart_from_an_empty_list(study, capsys):
    optuna.create_study(storage="sqlite:///plain.db")
    line = fails(capsys, "show", "plain.db", "--studies")
    assert line.endswith("plain.db: no study of nasopt's in it; name another database")


def test_a_terminal_that_lacks_a_letter_gets_another(study):
    odd = Path("ä😀.py")
    odd.write_text(STUDY.replace("trials=4", "trials=1"))
    command = [sys.executable, "-m", "nasopt", "run", str(odd), "--device", "cpu"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n??/surrogate/0: 1 of 1 trials" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--studies", "", "--storage", "x.db"], "nasopt: storage=x.db: no such file"),
        (["--benchmark", ""], "nasopt: benchmark='': unknown"),
    ],
)
def test_an_option_that_is_empty_is_named(study, capsys, words, line):
    assert fails(capsys, "compare", *words).startswith(line)


def test_a_budget_of_time_ends_a_run_well_and_says_how_to_go_on(study, capsys):
    assert main(["run", "mine.py", "--device", "cpu", "--time", "0.001"]) == 0
    out = capsys.readouterr().out
    assert " ".join(out.split()).startswith(
        "The budget of time, under 0.1 s, is used: 0 of 4 trials are done, no trial was under way. "
        "Each trial can be reproduced; how many fit into a time cannot. The same command goes on. "
    )
    assert "nasopt finals" not in out  # there is no network to train again
    assert main(["run", "mine.py", "--device", "cpu", "--time", "1h", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["done"], found["out_of_time"]) == (4, "")


def test_all_workers_have_the_same_budget_of_time(study, capsys):
    words = ["run", "mine.py", "--device", "cpu", "--workers", "2", "--time"]
    assert main([*words, "0.001"]) == 0
    assert "is used: 0 of 4 trials are done" in " ".join(capsys.readouterr().out.split())
    assert main([*words, "1h"]) == 0
    assert "mine/surrogate/0: 4 of 4 trials" in capsys.readouterr().out


def test_a_budget_of_time_ends_a_comparison_well(study, capsys):
    words = ["compare", "mine.py", "--device", "cpu", "--seeds", "1", "--time", "1ms"]
    assert fails(capsys, *words).startswith("nasopt: time='1ms': not a length of time; write 90m")
    words[-1] = "0.001"
    assert main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "is used: 0 studies of 5 are done, mine/random/0 is not done." in out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out_of_time": "mine/random/0 is not done"}


@pytest.mark.parametrize("time", ["0", "soon", "-1", "nan"])
def test_what_is_no_budget_of_time_is_one_line(study, capsys, time):
    for verb in ("run", "compare"):
        assert fails(capsys, verb, "mine.py", f"--time={time}").startswith("nasopt: time=")
    assert not Path("runs").exists()


def test_a_table_of_trials_is_scored_by_the_metric_that_was_asked_for(study, capsys):
    main(["run", "mine.py", "--device", "cpu"])
    tables = []
    for words in ([], ["--metric", "macro_f1"]):
        assert main(["show", "runs/mine.db", "--csv", "x.csv", *words]) == 0
        tables.append(list(csv.DictReader(Path("x.csv").read_text().splitlines())))
    assert [float(row["macro_f1"]) for row in tables[1]] != [
        float(r["accuracy"]) for r in tables[0]
    ]
    best = json_of(capsys, "show", "runs/mine.db", "--metric", "macro_f1")["best"][0]
    assert float(tables[1][best["number"]]["macro_f1"]) == best["accuracy"]


def json_of(capsys, *words):
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "x.db", "--studies", "--trial", "1"], "--trial: shows one study's; leave out"),
        (["show", "x.db", "--studies", "--study", "x"], "--study: shows one study's; leave out"),
        (["show", "x.db", "--why", "1", "--trial", "1"], "--trial: shows one trial, as does --why"),
        (["--json", "show", "x.db"], "--json: write it after the verb, nasopt show --json ..."),
        (
            ["compare", "--studies", "x", "--storage", "x.db", "--time", "9"],
            "--time: --studies are",
        ),
        (["compare", "--studies", "x", "--storage", "x.db", "--workers", "2"], "--workers: --stud"),
        (
            ["run", "mine.py", "--profile", "--finals"],
            "--profile: of one worker; leave out --finals",
        ),
    ],
)
def test_options_that_would_be_ignored_are_refused(study, capsys, words, line):
    assert fails(capsys, *words).startswith(f"nasopt: {line}")


def test_what_to_type_next_keeps_the_budget_and_the_device_that_was_typed(study, capsys):
    words = ["run", "mine.py", "--trials", "2", "--seed", "3", "--workers", "2"]
    assert main(words) == 0
    again = "nasopt run mine.py --sampler random --seed 3 --trials 2 --workers 2"
    assert again in " ".join(capsys.readouterr().out.split())
