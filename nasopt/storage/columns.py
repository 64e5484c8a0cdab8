"""The checks of a database file before it is trusted: real tables, and values of their types.

SQLite keeps what it is given, in a view or a trigger as well as in a table, and a text where a
number was declared.
"""

import sqlite3

INTEGER = "typeof({0}) = 'integer'"
TEXT = "typeof({0}) = 'text'"
BYTES = "typeof({0}) = 'blob'"
NUMBER = "typeof({0}) IN ('real', 'integer') AND {0} BETWEEN -1.797e308 AND 1.797e308"
TIME = "{0} IS NULL OR (typeof({0}) = 'text' AND +{0} BETWEEN '1971' AND '9000')"
MAYBE_NUMBER = f"{{0}} IS NULL OR ({NUMBER})"


class Unsound(Exception):
    """The error for a file that is not as Optuna and nasopt write it, in words."""


def _one_of(*words: str) -> str:
    return f"{{0}} IN ({', '.join(map(repr, words))})"


def _kept(value: str) -> str:
    """Return the condition on a column that says how `value` was kept.

    It is a number, or a value that SQLite has no number for.
    """
    finite = NUMBER.format(value)
    return f"{_one_of('INF_POS', 'INF_NEG', 'NAN')} OR ({{0}} = 'FINITE' AND {finite})"


ATTRIBUTES = {"key": TEXT, "value_json": TEXT}
OF_STUDY, OF_TRIAL = {"study_id": INTEGER}, {"trial_id": INTEGER}
OPTUNAS = {
    "studies": OF_STUDY | {"study_name": TEXT},
    "study_directions": OF_STUDY
    | {"objective": INTEGER, "direction": _one_of("NOT_SET", "MINIMIZE", "MAXIMIZE")},
    "study_user_attributes": OF_STUDY | ATTRIBUTES,
    "study_system_attributes": OF_STUDY | ATTRIBUTES,
    "trials": OF_STUDY
    | OF_TRIAL
    | {
        "number": INTEGER,
        "state": _one_of("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"),
        "datetime_start": TIME,
        "datetime_complete": TIME,
    },
    "trial_user_attributes": OF_TRIAL | ATTRIBUTES,
    "trial_system_attributes": OF_TRIAL | ATTRIBUTES,
    "trial_params": OF_TRIAL
    | {"param_id": INTEGER, "param_name": TEXT, "param_value": NUMBER, "distribution_json": TEXT},
    "trial_values": OF_TRIAL | {"objective": INTEGER, "value_type": _kept("value")},
    "trial_intermediate_values": OF_TRIAL
    | {"step": INTEGER, "intermediate_value_type": _kept("intermediate_value")},
    "version_info": {"schema_version": INTEGER},
    "alembic_version": {"version_num": TEXT},
}
OURS = {
    "nasopt_evaluations": {
        **dict.fromkeys(("key", "architecture", "recipe", "dataset"), TEXT),
        "seed": INTEGER,
    },
    "nasopt_epochs": {
        **dict.fromkeys(("key", "device", "torch", "recorded"), TEXT),
        **dict.fromkeys(("accuracy", "seconds"), NUMBER),
        **dict.fromkeys(("loss", "train_loss"), MAYBE_NUMBER),
        "epoch": INTEGER,
    },
    "nasopt_confusions": {"key": TEXT, "epoch": INTEGER, "matrix": "typeof({0}) = 'blob'"},
    "nasopt_timings": {
        **dict.fromkeys(("key", "device", "recorded"), TEXT),
        **dict.fromkeys(("threads", "batch_size"), INTEGER),
        "seconds": NUMBER,
    },
    "nasopt_workers": {"token": TEXT},
    "nasopt_looks": {
        **dict.fromkeys(("key", "dataset", "experiment", "recorded", "content"), TEXT),
        "labels": BYTES,
    },
    "nasopt_predictions": {
        **dict.fromkeys(("look", "key"), TEXT),
        **dict.fromkeys(("classes", "confidences"), BYTES),
    },
    "nasopt_latencies": {
        **dict.fromkeys(("key", "device", "recorded"), TEXT),
        **dict.fromkeys(("threads", "batch_size", "memory"), INTEGER),
        **dict.fromkeys(("median", "p95"), NUMBER),
    },
}


def tables_of(database: sqlite3.Connection) -> set[str]:
    """Return the names of all that is called a table."""
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def refuse_what_runs(database: sqlite3.Connection) -> None:
    """Raise Unsound if a view, a trigger or a virtual table is in the place of a table.

    To look at a view is to run it, and it may never end: this comes first.
    """
    names = OPTUNAS.keys() | OURS.keys()
    for kind, name, table, sql in database.execute(
        "SELECT type, lower(name), lower(tbl_name), upper(sql) FROM sqlite_master"
    ):
        virtual = str(sql).startswith("CREATE VIRTUAL")
        if {name, table} & names and (kind in ("view", "trigger") or virtual):
            raise Unsound(f"{name} is a {'virtual table' if virtual else kind}")


def refuse_other_values(database: sqlite3.Connection) -> None:
    """Raise Unsound if a table or column is missing, or has a value that it cannot have."""
    there = tables_of(database)
    for table, conditions in (OPTUNAS | OURS).items():
        if table in there:
            _refuse_other_values_of(database, table, conditions)
        elif table in OPTUNAS:
            raise Unsound(f"it has no {table}")


def _refuse_other_values_of(
    database: sqlite3.Connection, table: str, conditions: dict[str, str]
) -> None:
    there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}  # none generated
    for column in conditions:
        if column not in there:
            raise Unsound(f"{table} has no {column}")
    wrong = " ".join(
        f"WHEN ({condition.format(column)}) IS NOT TRUE THEN '{column}'"
        for column, condition in conditions.items()
    )
    found = database.execute(
        f"SELECT CASE {wrong} END AS wrong FROM {table} WHERE wrong IS NOT NULL LIMIT 1"
    ).fetchone()
    if found is not None:
        raise Unsound(f"{table}.{found[0]} has a value that it cannot have")
