import importlib
import pkgutil
import subprocess
import sys

import pytest

import nasopt


def test_no_module_takes_the_name_of_a_public_callable():
    for module in pkgutil.walk_packages(nasopt.__path__, "nasopt."):
        importlib.import_module(module.name)
    for name in nasopt.__all__:
        value = getattr(nasopt, name)
        assert callable(value) or name in ("latency", "macs", "parameters")  # of limits


def test_the_public_surface_is_sorted_and_complete():
    assert nasopt.__all__ == sorted(nasopt.__all__)
    assert set(nasopt.__all__) <= set(dir(nasopt))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'nasopt' has no attribute 'no_such_name'"):
        nasopt.no_such_name  # noqa: B018


def loaded_after(statement: str) -> set[str]:
    """Top-level packages in memory after `statement`, in a process of its own."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_neither_torch_nor_optuna_nor_rich():
    statement = "from nasopt.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not {"torch", "optuna", "rich", "numpy"} & loaded_after(statement)


def test_a_space_is_written_without_torch():
    statement = (
        "from nasopt import Conv, Space, categorical\nSpace(Conv(filters=categorical(1, 2)))"
    )
    assert not {"torch", "optuna", "numpy"} & loaded_after(statement)


def test_modules_for_users_are_there_without_an_import_of_their_own():
    assert "plotly" in loaded_after("import nasopt; nasopt.figures.front, nasopt.data.digits")


def test_showing_a_study_loads_no_torch(tmp_path):
    from tests.examples import small

    nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    statement = f"from nasopt.cli.main import main\nassert main(['show', r'{tmp_path}/x.db']) == 0"
    assert "torch" not in loaded_after(statement)
