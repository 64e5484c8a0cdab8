"""`checks`: what nasopt finds on this machine, as a person and a bug report want it."""

import os
import platform
import shutil
import sqlite3
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch
from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from nasopt.data.readers import data_dir
from nasopt.text import installing, several
from nasopt.training.devices import autocast_type, find_device, free_cores

RUNS = Path("runs")  # where databases go by default
SIDE = 32  # pixels of an image for which "auto" may mean bf16


def checks() -> dict[str, Any]:
    """Return versions, devices, threads, storage and extras, as JSON has them."""
    needed = [Requirement(each) for each in requires("nasopt") or ()]
    packages = [each.name for each in needed if each.marker is None or each.marker.evaluate()]
    return {
        "versions": {
            "nasopt": version("nasopt"),
            "python": platform.python_version(),
            "system": platform.platform(),
            **{name: _installed(name) for name in packages},
        },
        "device": str(find_device()),
        "devices": _devices(),
        "threads": {
            "cores": free_cores(),
            "torch": torch.get_num_threads(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        "storage": _storage(),
        "extras": missing_for_extras(needed),
    }


def missing_for_extras(needed: Iterable[Requirement]) -> dict[str, list[str]]:
    """Return, for each extra of these requirements, those of its packages that are not there."""
    found: dict[str, list[str]] = {}
    for each in needed:
        if each.marker is None or "extra" not in str(each.marker):
            continue
        extra = str(each.marker).rpartition("extra ==")[2].strip(" \"')")
        missing = found.setdefault(extra, [])
        have = _installed(each.name)
        if each.marker.evaluate({"extra": extra}) and (
            have is None or not each.specifier.contains(have, prereleases=True)
        ):
            missing.append(f"{each.name}{each.specifier}" + (f" (has {have})" if have else ""))
    return dict(sorted(found.items()))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    """Return the devices that torch finds, each with its name and whether it computes in bf16."""
    names = {"cpu": platform.processor() or platform.machine()}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        names[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
    if torch.backends.mps.is_available():
        names["mps"] = "Apple GPU"
    return [
        {
            "device": device,
            "name": name,
            "bf16": autocast_type("auto", torch.device(device), SIDE) is torch.bfloat16,
        }
        for device, name in names.items()
    ]


def _storage() -> dict[str, Any]:
    place = RUNS if RUNS.exists() else Path()
    return {
        "sqlite": sqlite3.sqlite_version,
        "databases": str(RUNS.absolute()),
        "writable": os.access(place, os.W_OK),
        "free_bytes": shutil.disk_usage(place).free,
        "data_sets": str(data_dir()),
    }


def print_checks(out: Console, found: dict[str, Any]) -> None:
    """Print what `checks` found, a line each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, number in found["versions"].items():
        table.add_row(name, number or "not installed")
    table.add_row()
    for device in found["devices"]:
        chosen = " (chosen by auto)" if device["device"].startswith(found["device"]) else ""
        bf16 = "computes in bf16" if device["bf16"] else "no bf16"
        table.add_row(device["device"], f"{device['name']}, {bf16}{chosen}")
    threads = found["threads"]
    fixed = threads["OMP_NUM_THREADS"]
    said = f"{several(threads['cores'], 'core')} free, torch uses {threads['torch']}"
    table.add_row("threads", said + (f" (OMP_NUM_THREADS={fixed})" if fixed else ""))
    table.add_row()
    storage = found["storage"]
    room = f"{storage['free_bytes'] / 1e9:.0f} GB free"
    state = room if storage["writable"] else f"{room}, but it cannot be written to"
    table.add_row("SQLite", storage["sqlite"])
    table.add_row("databases", f"{storage['databases']}, {state}")
    table.add_row("data sets", storage["data_sets"])
    table.add_row()
    for extra, missing in found["extras"].items():
        remedy = f"missing {', '.join(missing)}: {installing(extra)}"
        table.add_row(f"nasopt[{extra}]", remedy if missing else "all there")
    out.print(table)
