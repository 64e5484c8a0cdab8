"""Databases that a stranger made: whatever is in them, a command shows it or says a line.

    python -m tests.crafted

Each of `CASES` is a change to a sound database; each of `LOOKS` a command. A command may end with 0
or 2 and one line on stderr, within ten seconds and 1 GB more than the sound database takes.
"""

import json
import os
import resource
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import optuna
import torch

import nasopt
import nasopt.reporting.html
import nasopt.reporting.terminal.results
import nasopt.search.search
from nasopt import Recipe
from nasopt.cli.main import main
from tests.examples import small
from tests.forked import leave_after

SECONDS, BYTES = 10, 2**30  # that a change may cost
KILLED_AFTER = 120  # seconds
Change = Callable[[sqlite3.Connection], object]

STUDY = """from tests.examples import small
from nasopt import Recipe
experiment = small(trials=4, recipe=Recipe(epochs=2, batch_size=32), name="experiment")
"""
LOOKS: Mapping[str, list[str]] = {
    "show": ["show", "x.db"],
    "show --studies": ["show", "x.db", "--studies"],
    "show --trial": ["show", "x.db", "--trial", "1", "--json"],
    "show --why": ["show", "x.db", "--study", "experiment/surrogate/0", "--why", "3"],
    "report": ["report", "x.db", "-o", "r.html"],
    "compare": ["compare", "--studies", "experiment/*", "--storage", "x.db", "--replicates", "0"],
    "run": ["run", "study.py", "--sampler", "random", "--storage", "x.db", "--device", "cpu"],
}

BELIEF = {  # as of a trial that the surrogate's model chose, which takes more of them
    "expected": 0.5,
    "low": 0.4,
    "high": 0.6,
    "weights": {"conv.filters": 1.0},
    "nearest": [{"trial": 0, "distance": 0.5, "value": 0.4}],
}


def make(folder: Path) -> Path:
    """A sound database of two finished studies, all of it in one file; and its study file."""
    path = folder / "made.db"
    nasopt.compare(
        small(trials=4, recipe=Recipe(epochs=2, batch_size=32), name="experiment"),
        samplers="random,surrogate", seeds=1, replicates=0, storage=path, device="cpu",
    )  # fmt: skip
    (folder / "study.py").write_text(STUDY)
    sound = folder / "sound.db"
    with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(sound)) as there:
        here.backup(there)
        there.execute(
            "INSERT OR IGNORE INTO trial_user_attributes (trial_id, key, value_json) "
            "SELECT trial_id, 'belief', ? FROM trials",
            (json.dumps(BELIEF),),
        )
        there.commit()
    return sound


def changed(sound: Path, to: Path, change: Change) -> Path:
    """A copy of the database `sound` with the change."""
    shutil.copy(sound, to)
    for left in ("-wal", "-shm"):  # of the one before
        to.with_name(to.name + left).unlink(missing_ok=True)
    with closing(sqlite3.connect(to)) as database:
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute("PRAGMA ignore_check_constraints=ON")
        database.execute("PRAGMA writable_schema=ON")
        change(database)
        database.commit()
    return to


def sql(*statements: str) -> Change:
    def change(database: sqlite3.Connection) -> None:
        for statement in statements:
            database.execute(statement)

    return change


def _set(column: str, value: Any) -> Change:
    """`value` in a column of the second row, whatever was declared."""
    table, name = column.split(".")

    def change(database: sqlite3.Connection) -> None:
        (declared,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
        loose = declared[0].replace("NOT NULL", "")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (loose, table))
        database.commit()
        database.execute("PRAGMA writable_schema=RESET")  # it is read anew
        database.execute(
            f"UPDATE OR IGNORE {table} SET {name} = ? WHERE rowid = "
            f"(SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET 1)",
            (value,),
        )

    return change


def _attribute(table: str, key: str, text: str | bytes) -> Change:
    """`text` in place of the JSON of an attribute, wherever it is."""
    return lambda database: database.execute(
        f"UPDATE {table} SET value_json = ? WHERE key = ?", (text, key)
    )


def _experiment(**changes: Any) -> Change:
    """What the first study was begun with, changed; "a/b" is b within a."""

    def change(database: sqlite3.Connection) -> None:
        query = "SELECT value_json FROM study_user_attributes WHERE key = 'experiment'"
        begun = json.loads(database.execute(query).fetchone()[0])
        for place, value in changes.items():
            *outer, last = place.split("__")
            inner = begun
            for each in outer:
                inner = inner[int(each) if each.isdigit() else each]
            inner[last] = value
        text = json.dumps(begun)
        _attribute("study_user_attributes", "experiment", text)(database)

    return change


def _view(name: str, select: str) -> Change:
    return sql(f"ALTER TABLE {name} RENAME TO was_{name}", f"CREATE VIEW {name} AS {select}")


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
DEEP = "[" * 100_000 + "]" * 100_000
VALUES = {
    "null": None, "a text": "x", "a blob": b"\x00\xff", "below zero": -1, "huge": 2**62,
    "infinite": float("inf"), "empty": "", "not UTF-8": None, "a megabyte": "x" * 2**20,
}  # fmt: skip
COLUMNS = (
    "studies.study_name", "study_directions.direction",
    "study_directions.objective", "trials.number", "trials.study_id", "trials.state",
    "trials.datetime_start", "trials.datetime_complete", "trial_params.param_name",
    "trial_params.param_value", "trial_params.distribution_json", "trial_values.value",
    "trial_values.value_type", "trial_values.objective",
    "trial_intermediate_values.step", "trial_intermediate_values.intermediate_value",
    "trial_user_attributes.key", "trial_user_attributes.value_json",
    "trial_system_attributes.value_json", "study_user_attributes.value_json",
    "study_system_attributes.value_json", "nasopt_epochs.accuracy", "nasopt_epochs.epoch",
    "nasopt_evaluations.architecture",
)  # fmt: skip
TEXTS = {
    "null": "null", "a number": "-1", "a list": "[1]", "a dict": '{"a": 1}', "no JSON": "{",
    "nested": DEEP, "NaN": "NaN", "huge": "1" + "0" * 400, "a text": '"x"',
}  # fmt: skip
STUDY_KEYS = ("experiment", "sampler", "seed", "trials", "limits", "pruner", "versions")
TRIAL_KEYS = (
    "key",
    "parameters",
    "macs",
    "epochs",
    "seconds",
    "device",
    "reason",
    "belief",
    "free",
)


def _cases() -> dict[str, Change]:
    cases: dict[str, Change] = {}
    for column in COLUMNS:
        for what, value in VALUES.items():
            if what != "not UTF-8":
                cases[f"{column} is {what}"] = _set(column, value)
                continue
            table, name = column.split(".")
            cases[f"{column} is {what}"] = sql(
                f"UPDATE OR IGNORE {table} SET {name} = CAST(X'ff41' AS TEXT)"
            )
    for table, keys in (("study", STUDY_KEYS), ("trial", TRIAL_KEYS)):
        for key in keys:
            for what, text in TEXTS.items():
                cases[f"{key} of a {table} is {what}"] = _attribute(
                    f"{table}_user_attributes", key, text
                )
    for table in ("trials", "studies", "trial_user_attributes", "alembic_version", "trial_params"):
        cases[f"{table} is a view without end"] = _view(table, ENDLESS)
        cases[f"{table} is a table of other columns"] = sql(
            f"ALTER TABLE {table} RENAME TO was_{table}", f"CREATE TABLE {table} (x)"
        )
    for table in ("trial_values", "trial_params", "nasopt_epochs", "study_directions"):
        cases[f"there is no {table}"] = sql(f"DROP TABLE {table}")
        cases[f"{table} is empty"] = sql(f"DELETE FROM {table}")
    return cases | {
        "a trigger on trials": sql(
            "CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trial_values; END"
        ),
        "a virtual table": sql(
            "ALTER TABLE trials RENAME TO w", "CREATE VIRTUAL TABLE trials USING fts5(number)"
        ),
        "a billion layers": _experiment(space__layers__0__repeat=[1, 10**9]),
        "layers below zero": _experiment(space__layers__0__repeat=[-5, -1]),
        "repeat of three": _experiment(space__layers__0__repeat=[1, 2, 3]),
        "a range of a billion": _experiment(space__layers__0__filters={"integer": [1, 10**9, 1]}),
        "a range with no step": _experiment(space__layers__0__filters={"integer": [1, 9, 0]}),
        "a choice of nothing": _experiment(space__layers__0__filters={"categorical": []}),
        "an unknown layer": _experiment(space__layers__0__layer="lstm"),
        "an unknown field": _experiment(space__layers__0__colour=1),
        "a table of no fields": _experiment(space={"table": {"a": 3}}),
        "a table of a huge range": _experiment(space={"table": {"a": {"integer": [0, 10**18, 1]}}}),
        "images of no side": _experiment(input_shape=[1, 0, -8]),
        "images of a billion pixels": _experiment(input_shape=[3, 10**9, 10**9]),
        "no input_shape": _experiment(input_shape=None),
        "a billion epochs": _experiment(recipe__epochs=10**9),
        "epochs to choose": _experiment(recipe__epochs={"integer": [1, 9, 1]}),
        "unknown objectives": _experiment(objectives=["accuracy", "beauty"]),
        "two objectives, one value": _experiment(objectives=["accuracy", "macs"]),
        "a gap in the numbers": sql("UPDATE trials SET number = number + 1000000 WHERE number > 1"),
        "a number twice": sql("UPDATE trials SET number = 0"),
        "an attribute missing": sql("DELETE FROM trial_user_attributes WHERE key = 'key'"),
        "a parameter missing": sql("DELETE FROM trial_params WHERE param_id % 5 = 0"),
        "a parameter out of its choices": sql("UPDATE trial_params SET param_value = 99"),
        "a parameter before its choices": sql("UPDATE trial_params SET param_value = -1"),
        "another distribution": sql(
            "UPDATE trial_params SET distribution_json = "
            """'{"name": "IntDistribution", "attributes": {"low": 0, "high": 9}}'"""
        ),
        "a distribution of no class": sql("UPDATE trial_params SET distribution_json = '{}'"),
        "complete without values": sql("DELETE FROM trial_values"),
        "reports at a huge step": sql("UPDATE trial_intermediate_values SET step = step * 1000000"),
        "no end of a trial": sql("UPDATE trials SET datetime_complete = NULL"),
        "the year 9999": sql("UPDATE trials SET datetime_start = '9999-12-31 23:59:59.000000'"),
        "a date that is none": sql("UPDATE trials SET datetime_start = '2026-02-31 00:00:00.000'"),
        "a seed without end": sql(
            "UPDATE study_user_attributes SET value_json = '4294967295' WHERE key = 'seed'"
        ),
        "studies of the same name": sql(
            "UPDATE sqlite_master SET sql = replace(sql, 'UNIQUE', '') WHERE name = 'studies'",
            "DROP INDEX ix_studies_study_name",
            "INSERT INTO studies (study_id, study_name) SELECT 99, study_name FROM studies LIMIT 1",
        ),
        "an artifact outside": sql(
            "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (1, "
            """'artifacts:x', '"{\\"artifact_id\\": \\"../../x\\", """
            """\\"filename\\": \\"best-network.json\\"}"')"""
        ),
        "an artifact of no kind": sql(
            "INSERT INTO study_system_attributes (study_id, key, value_json) "
            "VALUES (1, 'artifacts:x', '7')"
        ),
        "a note of no version": sql(
            "INSERT INTO study_system_attributes (study_id, key, value_json) "
            "VALUES (1, 'dashboard:note_ver', '[1]')"
        ),
        "a note without its beginning": sql(
            "INSERT INTO study_system_attributes (study_id, key, value_json) "
            "VALUES (1, 'dashboard:note_str:7', '\"x\"')"
        ),
        "an owner of no kind": sql(
            "UPDATE trials SET state = 'RUNNING'",
            "INSERT OR REPLACE INTO trial_system_attributes (trial_id, key, value_json) "
            "SELECT trial_id, 'nasopt:owner', '[1]' FROM trials",
        ),
    }


CASES = _cases()
FEW = [name for place, name in enumerate(CASES) if place % 12 == 0 or " of a " not in name][::4]


def look(words: list[str], folder: Path) -> tuple[int | None, str, float, int]:
    """Run a command there: its exit code (None if it took too long), stderr, seconds and bytes.

    In a process of its own, which has loaded already all that takes long to load.
    """
    errors = folder / "stderr"
    process = os.fork()
    if not process:
        _run_here(words, folder, errors)
    _, status, used = os.wait4(process, 0)
    code = os.waitstatus_to_exitcode(status)
    text = errors.read_text(errors="replace")
    return code if code >= 0 else None, text, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def _run_here(words: list[str], folder: Path, errors: Path) -> NoReturn:
    def look() -> int:
        resource.setrlimit(resource.RLIMIT_CPU, (KILLED_AFTER,) * 2)
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        return main(words)

    leave_after(look)


def broke(words: list[str], folder: Path, usual: tuple[float, int]) -> str | None:
    """What a command did that it may not; `usual` is what it takes of the sound database."""
    code, errors, seconds, size = look(words, folder)
    told = [line for line in errors.splitlines() if line.startswith("nasopt: ")]
    if code not in (0, 2):
        return f"exit code {code}: {errors.strip().splitlines()[-1:]}"
    if len(told) != len(errors.splitlines()) or (code == 2 and len(told) != 1):
        return f"{len(errors.splitlines())} lines: {errors[-300:]}"
    if seconds - usual[0] > SECONDS or size - usual[1] > BYTES:
        return f"{seconds:.0f} s, {size / 1e9:.1f} GB"
    return None


def run() -> None:
    failures = 0
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = make(folder)
        usual = {}
        for what, words in LOOKS.items():
            changed(sound, folder / "x.db", sql())
            code, errors, seconds, size = look(words, folder)
            usual[what] = seconds, size
            print(f"{what}: exit code {code}, {seconds:.1f} s, {size / 1e9:.2f} GB {errors}")
        wanted = sys.argv[1:] or list(CASES)
        for case in wanted:
            for what, words in LOOKS.items():
                changed(sound, folder / "x.db", CASES[case])
                found = broke(words, folder, usual[what])
                if found:
                    failures += 1
                    print(f"{case}, {what}: {found}", flush=True)
    print(f"{len(wanted)} databases x {len(LOOKS)} commands: {failures} broke")
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    run()
