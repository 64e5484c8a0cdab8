"""A table of nine networks, as files of three kinds."""

import json
from pathlib import Path
from typing import Any

OPS = ("a", "b", "c")


def rows(seeds: int = 2, epochs: int = 3) -> list[dict[str, Any]]:
    """Nine networks: the accuracy is 10 x op + width, a bit more with each seed and each epoch."""
    return [
        {
            "op": op,
            "width": width,
            "seed": seed,
            "epoch": epoch,
            "accuracy": 10 * OPS.index(op) + width + 0.5 * seed - (epochs - epoch),
            "parameters": 100 * width,
            "macs": 7 * width,
            "seconds": 0.25,
        }
        for op in OPS
        for width in (1, 2, 4)
        for seed in range(seeds)
        for epoch in range(1, epochs + 1)
    ]


def written(path: Path, table: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(table))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(table), path)
    else:
        lines = [list(table[0]), *(row.values() for row in table)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return path
