"""Tables of one's own: what their files may hold, and what is said of the others."""

import itertools

import numpy as np
import pytest

from nasopt import Experiment, categorical, load_benchmark
from nasopt.errors import BenchmarkError
from tests.benchmarks.regret import trained
from tests.benchmarks.tables import rows, written


def choices(path, column="op"):
    return load_benchmark(str(path)).space.hyperparameters[column].choices


def complaint(path):
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def table(path, cells):
    """A table with the column op, a row for each cell."""
    return written(path, [{"op": cell, "accuracy": n} for n, cell in enumerate(cells)])


def test_words_that_spell_numbers_are_numbers_and_others_stay_words(tmp_path):
    path = tmp_path / "mine.csv"
    marked = "\ufeffa,b,c,accuracy\n"  # as spreadsheets begin a file
    path.write_text(f"{marked}1,0.5,2x,1e1\n10,0.5,2x,5\n2,0.5,2x,6\n")
    benchmark = load_benchmark(str(path))
    assert dict(benchmark.space.hyperparameters) == {
        "a": categorical(1, 2, 10),
        "b": categorical(0.5),
        "c": categorical("2x"),
    }
    assert benchmark.optimum == 10


def test_a_column_that_begins_with_an_underscore_is_ignored(tmp_path):
    noted = [{**row, "_note": number} for number, row in enumerate(rows())]
    benchmark = load_benchmark(str(written(tmp_path / "mine.csv", noted)))
    assert list(benchmark.space.hyperparameters) == ["op", "width"]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_feature_is_no_parameter_but_a_number_that_models_see(tmp_path, suffix):
    scored = [{**row, "feature:score": row["width"] ** 2 / 8} for row in rows()]
    benchmark = load_benchmark(str(written(tmp_path / f"mine.{suffix}", scored)))
    plain = load_benchmark(str(written(tmp_path / "plain" / f"mine.{suffix}", rows())))
    assert list(benchmark.space.hyperparameters) == ["op", "width"]
    assert benchmark.features == ("log parameters", "log macs", "score")
    places = np.array([[0, 0], [2, 1], [1, 2]])  # of op and of width, which is 1, 2 or 4
    assert benchmark.survey(places).features[:, 2].tolist() == [1 / 8, 4 / 8, 16 / 8]
    assert benchmark.costs == plain.costs
    assert benchmark.fingerprint != plain.fingerprint  # samplers suggest others


def test_a_feature_that_is_no_number_of_its_network_is_refused(tmp_path):
    path = tmp_path / "mine.csv"
    words = [{**row, "feature:score": "high"} for row in rows()]
    assert complaint(written(path, words)) == (
        "row 2, column feature:score: 'high' is no number; give one, or drop the row"
    )
    differing = [{**row, "feature:score": number} for number, row in enumerate(rows())]
    assert complaint(written(path, differing)).startswith(
        "row 3, column feature:score: 1.0, but 0.0 in row 2 of the same network; make them equal"
    )


def test_a_surrogate_goes_by_the_features_of_a_table(tmp_path):
    """Parity of three words decides, which no distance between words shows."""
    table = [
        {"a": a, "b": b, "c": c, "accuracy": (i + j + k) % 2 + (i + j + k) / 50}
        for (i, a), (j, b), (k, c) in itertools.product(enumerate("stuvw"), repeat=3)
    ]
    told = [{**row, "feature:odd": int(row["accuracy"])} for row in table]

    def found(rows, name):
        benchmark = load_benchmark(str(written(tmp_path / f"{name}.csv", rows)))
        experiment = Experiment.on_benchmark(benchmark, trials=14)
        return [benchmark.true[row] for row in trained(
            experiment, benchmark.observed(0), "surrogate", 0, 14
        )]  # fmt: skip

    assert np.mean(found(told, "told")[6:]) > np.mean(found(table, "plain")[6:]) + 0.2


LONG = ["10210210210210210210", "10210210210210210211", "10210210210210210212"]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize(
    "words",
    [
        LONG,
        ["00", "01", "10", "11"],
        ["01", "1"],
        ["1_2", "12"],
        ["1e5", "2a7", "100000"],
        ["1", "auto"],
        ["9007199254740993", "2"],
        ["1" * 400, "1" * 399 + "2"],
    ],
)
def test_digits_that_are_names_stay_words_each_of_its_own(tmp_path, suffix, words):
    assert choices(table(tmp_path / f"mine.{suffix}", words)) == tuple(sorted(words))


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["10", "9", "-2"], (-2, 9, 10)),
        (["0.5", "1", "1e-3"], (0.001, 0.5, 1.0)),
        (["1.0", "2.0", "1e3"], (1, 2, 1000)),
        (["0", "9007199254740991"], (0, 2**53 - 1)),
    ],
)
def test_words_that_are_numbers_become_numbers(tmp_path, suffix, cells, numbers):
    found = choices(table(tmp_path / f"mine.{suffix}", cells))
    assert found == numbers
    assert list(map(type, found)) == list(map(type, numbers))


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize(
    "cells", [["1e5", "100000"], ["1.0", "1"], ["0.50", "0.5"], ["+1", "1"], ["True", "true"]]
)
def test_one_choice_in_two_spellings_is_refused_not_merged(tmp_path, suffix, cells):
    message = complaint(table(tmp_path / f"mine.{suffix}", cells))
    first, second = (2, 3) if suffix == "csv" else (1, 2)
    assert message == (
        f"row {second}, column op: {cells[1]!r} is {cells[0]!r} in row {first}, spelled otherwise; "
        "write both alike"
    )


@pytest.mark.parametrize("cells", [[1, True], [0, False], [1, "1"], [True, "true"], [2, "2.0"]])
def test_what_json_tells_apart_and_optuna_does_not_is_refused(tmp_path, cells):
    message = complaint(table(tmp_path / "mine.json", cells))
    assert message == (
        f"row 2, column op: {cells[1]!r} is {cells[0]!r} in row 1, spelled otherwise; "
        "write both alike"
    )


def test_json_keeps_numbers_words_and_truth_values_as_they_are(tmp_path):
    for cells in ([0.5, 1, 2], [False, True], ["a", "b"], [1, "auto"]):
        assert choices(table(tmp_path / "mine.json", cells)) == tuple(cells)
    big = [2**53 + 1, 2**53 + 2, 10**20]
    assert choices(table(tmp_path / "mine.json", big)) == tuple(sorted(map(str, big)))


@pytest.mark.parametrize("suffix", ["csv", "json"])
@pytest.mark.parametrize("cell", ["NaN", "nan", "-inf", "Infinity"])
def test_a_missing_value_is_no_choice(tmp_path, suffix, cell):
    message = complaint(table(tmp_path / f"mine.{suffix}", ["1", "2", cell]))
    row = 4 if suffix == "csv" else 3
    assert message == f"row {row}, column op: {cell!r} is no choice; give a number or a word"


def parquet(path, **columns):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path)
    return path


def test_columns_of_parquet_are_read_by_what_they_mean(tmp_path):
    import pyarrow as pa

    decimal = pa.array(["0.50", "1.00"]).cast(pa.decimal128(10, 2))
    large = pa.array(LONG[:2]).cast(pa.decimal128(38, 0))
    for column, expected in (
        (pa.array(["b", "a"]).dictionary_encode(), ("a", "b")),
        (pa.array([True, False]), (False, True)),
        (pa.array([2, 1], pa.int64()), (1, 2)),
        (pa.array([2**63 - 1, 2**63 - 2], pa.int64()), (str(2**63 - 2), str(2**63 - 1))),
        (pa.array([2, 1], pa.uint8()), (1, 2)),
        (pa.array([0.5, 0.25], pa.float32()), (0.25, 0.5)),
        (decimal, (0.5, 1.0)),
        (large, tuple(LONG[:2])),
    ):
        assert choices(parquet(tmp_path / "x.parquet", op=column, accuracy=[1, 2])) == expected
    benchmark = load_benchmark(
        str(parquet(tmp_path / "x.parquet", op=["a", "b"], accuracy=decimal))
    )
    assert benchmark.true.tolist() == [0.5, 1.0]


def test_a_parquet_file_with_dates_or_without_values_is_named(tmp_path):
    from datetime import date

    days = parquet(tmp_path / "x.parquet", op=[date(2024, 1, 1)], accuracy=[1])
    assert complaint(days).startswith("row 1, column op: datetime.date(2024, 1, 1) is no choice")
    missing = parquet(tmp_path / "x.parquet", op=["a", None], accuracy=[1, 2])
    assert complaint(missing).startswith("row 2, column op: None is no choice")


def test_a_damaged_parquet_file_is_named_wherever_the_damage_is(tmp_path):
    path = written(tmp_path / "mine.parquet", rows())
    content = path.read_bytes()
    for place in range(4, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
        try:
            load_benchmark(str(path))
        except BenchmarkError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_another_separator_than_the_comma_is_named(tmp_path, separator, quote):
    lines = [["op", "width", "accuracy"], ["a", "1", "0,91"], ["b", "2", "0,92"]]
    path = tmp_path / "mine.csv"
    path.write_text(
        "".join(separator.join(quote + cell + quote for cell in line) + "\n" for line in lines)
    )
    assert complaint(path) == (
        f"row 1: no comma, but {separator!r}; separate columns by commas (and write numbers with a "
        "decimal point)"
    )


def test_names_may_hold_what_separates_columns_elsewhere(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("batch size,a;b,accuracy\n32,x\u2028y,1\n64,x\u2028y,2\n")
    assert list(load_benchmark(str(path)).space.hyperparameters) == ["batch size", "a;b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('op,accuracy\na,"0,91"\n', "row 2, column accuracy: '0,91' is no number; write a point"),
        ("op,accuracy\na,1_0\n", "row 2, column accuracy: '1_0' is no number; give one"),
        ("op,Accuracy\na,1\n", "column Accuracy: call it accuracy, or _Accuracy"),
        ("op,Seed,accuracy\na,1,1\n", "column Seed: call it seed, or _Seed"),
        ('"o\tp",accuracy\na,1\n', r"column='o\tp': '\t' cannot be stored or shown; leave it out"),
        ("x" * 401 + ",accuracy\na,1\n", "column='xxxxxxxxxxxxxxxxxxxx'...: 401 characters; use"),
    ],
)
def test_what_would_be_taken_otherwise_than_it_was_meant_is_named(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    assert complaint(path).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"op": "a", "op": "b", "accuracy": 1}]', "an object has 'op' twice; leave one out"),
        (r'[{"op": "\ud800", "accuracy": 1}]', r"row 1, column op: '\ud800' is no choice; give a"),
        (r'[{"\ud800": 1, "accuracy": 1}]', r"column='\ud800': '\ud800' cannot be stored or shown"),
    ],
)
def test_what_json_can_hold_and_a_database_cannot_is_named(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_text(content)
    assert complaint(path).startswith(message)


def test_json_may_begin_with_a_mark_of_its_encoding(tmp_path):
    path = table(tmp_path / "mine.json", ["a", "b"])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert choices(path) == ("a", "b")


def test_the_fingerprint_of_a_table_is_what_it_was_in_earlier_versions(tmp_path):
    cells = [["a", 1, 0.5, "1x", True], ["b", 2, 0.25, "7", False]]
    names = ["word", "whole", "real", "mixed", "truth"]
    table = [
        {**dict(zip(names, combination, strict=True)), "accuracy": n}
        for n, combination in enumerate(itertools.product(*zip(*cells, strict=True)))
    ]
    for suffix, digest in (
        ("csv", "252ba634f493f71a"),
        ("json", "d0925d8b517972cc"),
        ("parquet", "d0925d8b517972cc"),
    ):
        path = written(tmp_path / f"mine.{suffix}", table)
        assert load_benchmark(str(path)).fingerprint == f"mine {digest}"


HEADER = "op,width,accuracy\n"
FULL = HEADER + "a,1,5\na,2,6\nb,1,7\nb,2,8\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; give the path of a table"),
        (HEADER, "no rows; write a row for each training"),
        (FULL.replace("accuracy", "score"), "no metric: no column accuracy among op, width, score"),
        ("accuracy,seed\n5,0\n", "no parameter: only accuracy, seed; add a column for each choice"),
        (FULL.replace("b,1,7", "b,1,n/a"), "row 4, column accuracy: 'n/a' is no number; give one"),
        (FULL.replace("b,1,7", "b,1,nan"), "row 4, column accuracy: 'nan' is no number; give one"),
        (FULL.replace("b,1,7", "b,1,"), "row 4, column accuracy: '' is no number; give one"),
        (FULL.replace("b,1,7", "b,,7"), "row 4, column width: '' is no choice; give a number or a"),
        (FULL.replace("b,1,7\n", "b,1,7,9\n"), "row 4: 4 values, not 3 as in row 1; fix it"),
        (FULL.replace("b,1,7\n", "\nb,1\n"), "row 5: 2 values, not 3 as in row 1; fix it"),
        (FULL.replace("b,1,7\n", '"b,1,7\n'), "row 5: unexpected end of data; fix it"),
        (
            FULL.replace("b,1,7\n", ""),
            "no row has op=b, width=1 (1 of 4 combinations are missing); add them",
        ),
        (
            FULL + "b,1,7\n",
            "row 6, column op and width: the same as row 4; leave one out",
        ),
        (FULL.replace("op,width", "op,op"), "row 1, column 1: 'op' stands there twice; name it"),
        (FULL.replace("op,width", "op,"), "row 1, column 2: '' has no name; name it"),
        ("op,accuracy,epoch\na,1,0\n", "row 2, column epoch: '0': give 1 or more"),
        ("op,accuracy,epoch\na,1,1.5\n", "row 2, column epoch: '1.5' is no whole number; give one"),
        (
            "op,accuracy,epoch\na,1,1\na,2,2\nb,1,1\nb,2,3\n",
            "row 2, column epoch: this training has no row for epoch 3; add it",
        ),
        (
            "op,accuracy,epoch\na,1,1\nb,1,99999999999\n",
            "row 3, column epoch: more epochs than rows; number from 1",
        ),
        ("op,accuracy,seed\na,1,x\n", "row 2, column seed: 'x' is no whole number; give one"),
        ("op,accuracy,macs\na,1,-5\n", "row 2, column macs: '-5': give 0 or more"),
        ("op,accuracy,seconds\na,1,soon\n", "row 2, column seconds: 'soon' is no number; give one"),
        (
            "op,accuracy,seed,macs\na,1,0,5\na,1,1,6\n",
            "row 3, column macs: 6, but 5 in row 2 of the same network; make them equal",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_named_by_row_and_column(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(str(path))
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{]", "row 1, column 3: no JSON (Expecting property name"),
        (b'{"op": "a"}', "no list of objects; write [{column: value, ...}, ...]"),
        (b"[]", "no rows; write a row for each training"),
        (b'[{"op": "a", "accuracy": 1}, {"op": "b"}]', "row 2, column accuracy: missing; fix it"),
        (b'[{"op": "a"}, {"op": "b", "x": 1}]', "row 2, column x: not in row 1; fix it"),
        (b'[{"op": "a", "accuracy": true}]', "row 1, column accuracy: True is no number"),
        (b'[{"op": null, "accuracy": 1}]', "row 1, column op: None is no choice; give a number or"),
        (b'[{"op": NaN, "accuracy": 1}]', "row 1, column op: nan is no choice; give a number or a"),
        (b'[{"": 1}]', "no metric: no column accuracy among ; call the column"),
        (b'[{"op": 1, "accuracy": 1' + b"0" * 400 + b"}]", "row 1, column accuracy: 1000"),
        (b'[{"op": 1, "accuracy": 1, "macs": 1e30}]', "row 1, column macs: 1e+30 is no whole"),
        (b'[{"op": [1], "accuracy": 1}]', "row 1, column op: [1] is no choice; give a number or a"),
        (b'[\n{"op": "\xe4"}]', "row 2: not UTF-8; save it in that encoding"),
    ],
)
def test_what_is_wrong_with_a_json_table_is_named(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(str(path))
    assert str(error.value).startswith(f"{path}: {message}")


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "text.parquet").write_text("op,accuracy\na,1\n")
    (tmp_path / "latin.csv").write_bytes(b"op,accuracy\n\xe4,1\n")
    for name, message in [
        ("none.csv", "cannot be read (No such file or directory); give the path of a table"),
        ("folder.csv", "cannot be read (Is a directory); give the path of a table"),
        ("text.parquet", "no Parquet, or damaged; write it again"),
        ("latin.csv", "row 2: not UTF-8; save it in that encoding"),
    ]:
        with pytest.raises(BenchmarkError) as error:
            load_benchmark(str(tmp_path / name))
        assert str(error.value).startswith(f"{tmp_path / name}: {message}")
