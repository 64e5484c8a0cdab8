from pathlib import Path

import optuna
import pytest

import nasopt
from nasopt import Conv, Error, Experiment, Recipe, Space, categorical, macs, parameters, real
from nasopt.data import digits, image_folder
from nasopt.data.readers import data_dir
from nasopt.errors import DataError, RecipeError, StudyError
from nasopt.search.loading import load_experiment
from tests.examples import small, small_space

STUDY = """\
from nasopt import Conv, Experiment, Space, categorical
from nasopt.data import digits

experiment = Experiment(
    dataset=digits(),
    space=Space(Conv(filters=categorical(2, 4))),
)
"""


def test_the_space_knows_the_images_of_the_data_set():
    assert small().space.input_shape == (1, 8, 8)


def test_a_data_set_may_be_given_by_name():
    assert small(dataset="digits").data == digits()


def test_open_fields_of_the_recipe_are_parameters_of_the_study():
    experiment = small(recipe=Recipe(lr=real(1e-3, 1, log=True)))
    assert list(experiment.hyperparameters)[-1] == "recipe.lr"
    params = {"conv.depth": 1, "conv01.filters": 4, "conv01.stride": 2, "recipe.lr": 0.25}
    assert experiment.evaluation(params).recipe.lr == 0.25


def test_a_sample_is_of_different_networks_within_the_limits():
    experiment = small(limits=(parameters <= 300, macs <= 10_000))
    sample = experiment.sample(10, seed=1)
    costs = [experiment.cost(each.architecture) for each in sample]
    assert len({each.key for each in sample}) == 10
    assert all(cost.parameters <= 300 and cost.macs <= 10_000 for cost in costs)
    assert [each.key for each in sample] == [each.key for each in experiment.sample(10, seed=1)]


def test_a_sample_is_as_large_as_there_are_networks():
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8))))
    assert len(experiment.sample(10, seed=0)) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trails": 5}, "Experiment.trails: no such field; did you mean trials?"),
        ({"trials": 0}, "Experiment.trials=0: use a whole number from 1"),
        ({"trials": 2.5}, "Experiment.trials=2.5: use a whole number from 1"),
        ({"trials": 2**63}, "Experiment.trials=9223372036854775808: use a whole number from 1 to "),
        ({"dataset": "digit"}, "Experiment.dataset='digit': unknown; did you mean digits?"),
        ({"dataset": 3}, "Experiment.dataset=3: give a Dataset"),
        ({"pruner": "medain"}, "pruner='medain': unknown; did you mean median?"),
        ({"objectives": ("accuracy", "mac")}, "Experiment.objectives: 'mac' is unknown; did"),
        ({"objectives": ("accuracy", "accuracy")}, "Experiment.objectives=("),
        ({"objectives": ()}, "Experiment.objectives=(): use ('accuracy',)"),
        ({"objectives": 5}, "Experiment.objectives=5: give a tuple"),
        ({"limits": 5_000}, "Experiment.limits=5000: give a tuple"),
        ({"pruner": ["median"]}, "pruner=['median']: unknown"),
        ({"dataset": digits}, "Experiment.dataset=digits: give digits(), with parentheses"),
        ({"seed": 2**63}, "Experiment.seed=9223372036854775808: use a whole number from 0"),
        ({"objectives": ("macs",)}, "Experiment.objectives=('macs',): use ('accuracy',)"),
        ({"objectives": ("accuracy", "macs", "parameters")}, "Experiment.objectives="),
        ({"limits": (5,)}, "Experiment.limits: 5 is no limit; write parameters <= 5_000, say"),
        ({"seed": -1}, "Experiment.seed=-1: use a whole number from 0"),
        ({"name": " "}, "Experiment.name=' ': give it a name"),
        ({"name": "a\0b"}, r"Experiment.name='a\x00b': '\x00' cannot be stored or shown; leave"),
        ({"name": "a\nb"}, r"Experiment.name='a\nb': '\n' cannot be stored or shown; leave it out"),
        ({"name": "\x1b[2J"}, r"Experiment.name='\x1b[2J': '\x1b' cannot be stored or shown"),
        ({"name": "\ud800"}, r"Experiment.name='\ud800': '\ud800' cannot be stored or shown"),
        ({"name": "x" * 401}, "Experiment.name='xxxxxxxxxxxxxxxxxxxx'...: 401 characters; use 400"),
        ({"space": Conv(filters=3)}, "Experiment.space=Conv("),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named_with_its_remedy(fields, message):
    with pytest.raises(Error) as error:
        small(**fields)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ["x" * 400, "é/../%s 'a' \N{GRINNING FACE}"])
def test_a_database_holds_long_and_strange_names_of_experiments(empty_database, name):
    study = nasopt.run(small(name=name, trials=1), storage=empty_database, device="cpu")
    assert study.study_name == f"{name}/surrogate/0"
    assert optuna.get_all_study_names(study._storage) == [study.study_name]


def test_a_missing_field_is_named():
    with pytest.raises(RecipeError, match=r"Experiment\.dataset: missing; give dataset="):
        Experiment(space=small_space())


def test_a_study_file_gives_its_name_to_the_experiment(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(STUDY)
    assert load_experiment(path).name == "mine"


def test_a_study_file_may_name_its_experiment_itself(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(STUDY.replace("dataset=", 'name="other", dataset='))
    assert load_experiment(path).name == "other"


def test_a_study_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_mine.py").write_text("FILTERS = (2, 4)\n")
    path = tmp_path / "mine.py"
    path.write_text("from neighbour_of_mine import FILTERS\n" + STUDY.replace("2, 4", "*FILTERS"))
    assert load_experiment(path).space.size == 2


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("experiment = Experiment(", "experiment = Experiment(("), 4, "'(' was never closed"),
        (("categorical(2, 4)", "categorical(2, 2)"), 6, "categorical(): 2 stands there twice"),
        (("filters=", "filter="), 6, "Conv.filter: no such field; did you mean filters?"),
        (("digits()", "digits(limit=0)"), 5, "limit=0: not a number of images"),
        (("import digits", "import digit"), 2, "nasopt.data has no digit; did you mean digits?"),
        (("import Conv,", "import Cnov,"), 1, "nasopt has no Cnov; did you mean Conv?"),
        (("from nasopt.data", "import no_such\nfrom nasopt.data"), 2, "no_such is not installed;"),
        (("dataset=digits()", "dataset=1 / 0"), 5, "ZeroDivisionError: division by zero"),
        (("Space(Conv(", "Space(4, Conv("), 6, "Space(): 4 is no layer"),
        (("from nasopt.data", "import nasop\nfrom nasopt.data"), 2, "nasop is not installed; did"),
        (("nasopt import Conv", "nasotp import Conv"), 1, "nasotp is not installed; did you mean "),
        (("from nasopt.data", "import maths\nfrom nasopt.data"), 2, "maths is not installed; did "),
        (("digits()", "digits(limt=5)"), 5, "digits(limt=...): no such argument; did you mean"),
        (("nasopt.data", "nasopt.dta"), 2, "nasopt.dta: no such module; did you mean data?"),
        (("dataset=", "d=exit('bye'), dataset="), 5, "SystemExit: bye; fix that line"),
    ],
)  # fmt: skip
def test_an_error_in_a_study_file_names_its_line(tmp_path, change, line, message):
    path = tmp_path / "mine.py"
    path.write_text(STUDY.replace(*change))
    with pytest.raises(StudyError) as error:
        load_experiment(path)
    assert str(error.value).startswith(f"{path}:{line}: {message}")
    assert "\n" not in str(error.value)


def test_a_mistyped_package_is_never_given_to_pip(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from nasop import Conv\n")
    with pytest.raises(StudyError) as error:
        load_experiment(path)
    assert str(error.value) == f"{path}:1: nasop is not installed; did you mean nasopt?"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("lecture", "did you mean lecture.py?"),
        ("lectur.py", "did you mean lecture.py?"),
        ("a", "did you mean a.py?"),
        ("lecture.txt", "did you mean lecture.py?"),
        ("zzz", "give the path of a study file"),
        ("nowhere/lecture.py", "give the path of a study file"),
        ("studies/lecture", "did you mean studies/lecture.py?"),
    ],
)
def test_a_study_file_that_is_missing_is_answered_with_the_closest(
    tmp_path, monkeypatch, name, remedy
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    for each in ("lecture.py", "a.py", "studies/lecture.py"):
        Path(each).write_text(STUDY)
    with pytest.raises(StudyError) as error:
        load_experiment(name)
    assert str(error.value) == f"{name}: no such file; {remedy}"


FOLDER_STUDY = STUDY.replace("import digits", "import image_folder").replace(
    "digits()", 'image_folder("pics", 4)'
)


def test_a_relative_path_is_looked_up_from_the_study_file_then_from_the_working_folder(
    tmp_path, monkeypatch
):
    """A study means the same wherever it is started; what worked from elsewhere goes on to."""
    studies, elsewhere = tmp_path / "studies", tmp_path / "elsewhere"
    for folder in (studies, elsewhere):
        folder.mkdir()
    (studies / "mine.py").write_text(FOLDER_STUDY)
    monkeypatch.chdir(elsewhere)
    with pytest.raises(StudyError) as error:
        load_experiment("../studies/mine.py")
    assert str(error.value) == (
        "../studies/mine.py:5: image_folder.path=pics: no such folder in "
        f"{studies} or {elsewhere}; give an existing one"
    )
    for folder, names in ((elsewhere, "ab"), (studies, "cd")):
        for name in names:
            (folder / "pics" / name).mkdir(parents=True)
        loaded = load_experiment("../studies/mine.py")
        assert loaded.data.class_names() == tuple(names)
    assert not (elsewhere / "mine.py").exists()
    with pytest.raises(DataError, match=f"no such folder in {elsewhere}; give"):
        image_folder("nowhere", 4)  # outside of a study file


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    """As that of a database may: a shell does not see the paths of a study file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(FOLDER_STUDY.replace("pics", "~/pics"))
    with pytest.raises(StudyError, match="path=~/pics: no such folder; give an existing one"):
        load_experiment(tmp_path / "mine.py")
    for name in "ab":
        (tmp_path / "pics" / name).mkdir(parents=True)
    assert load_experiment(tmp_path / "mine.py").data.class_names() == ("a", "b")
    monkeypatch.setenv("NASOPT_DATA", "~/data")
    assert data_dir() == tmp_path / "data"


def test_tables_and_databases_are_looked_up_as_pictures_are(tmp_path, monkeypatch):
    studies = tmp_path / "studies"
    studies.mkdir()
    (studies / "table.csv").write_text("op,accuracy\na,1\nb,2\n")
    (studies / "mine.py").write_text(
        "from nasopt import Experiment, load_benchmark\n"
        'experiment = Experiment.on_benchmark(load_benchmark("table.csv"))\n'
    )
    monkeypatch.chdir(tmp_path)
    assert load_experiment("studies/mine.py").name == "table"
    (studies / "table.csv").unlink()
    with pytest.raises(StudyError, match=rf"table\.csv: .* in {studies} or {tmp_path}\); give"):
        load_experiment("studies/mine.py")


def test_a_study_file_that_is_missing_a_folder_or_without_experiment_is_named(tmp_path):
    missing = tmp_path / "missing.py"
    with pytest.raises(StudyError, match=r"missing\.py: no such file; give the path"):
        load_experiment(missing)
    with pytest.raises(StudyError, match="a folder; name a study file in it"):
        load_experiment(tmp_path)
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(StudyError, match="experiment is none; write experiment = Exp"):
        load_experiment(empty)
    empty.write_text("experiment = 1\n")
    with pytest.raises(StudyError, match="experiment is of type int; write experiment = Exp"):
        load_experiment(empty)


def test_a_syntax_error_of_bytes_is_a_line_as_well(tmp_path):
    path = tmp_path / "mine.py"
    path.write_bytes(b"x = '\x00\xff'\n")
    with pytest.raises(StudyError) as error:
        load_experiment(path)
    assert str(error.value).startswith(f"{path}:1: ")


def test_a_syntax_error_in_a_neighbour_names_that_file(tmp_path):
    (tmp_path / "broken_neighbour.py").write_text("x = 1\ny = (\n")
    (tmp_path / "mine.py").write_text("import broken_neighbour\n")
    with pytest.raises(StudyError) as error:
        load_experiment(tmp_path / "mine.py")
    assert str(error.value).startswith(f"{tmp_path / 'broken_neighbour.py'}:2: '(' was never")


def test_a_study_file_may_have_a_dataclass_with_annotations_as_text(tmp_path):
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    body = "@dataclass\nclass Mine:\n    x: int = 1\n"
    (tmp_path / "mine.py").write_text(head + body + STUDY)
    assert load_experiment(tmp_path / "mine.py").name == "mine"


def test_the_search_path_is_left_as_it_was(tmp_path):
    import sys

    before = list(sys.path)
    (tmp_path / "mine.py").write_text("raise SystemError('no')\n")
    with pytest.raises(StudyError):
        load_experiment(tmp_path / "mine.py")
    assert sys.path == before
