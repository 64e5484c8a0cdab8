"""`nasopt.training.devices`: devices by name, and torch's settings while something trains."""

import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from nasopt.errors import OutOfMemory, StudyError
from nasopt.training import devices
from nasopt.training.devices import (
    autocast_type,
    device_name,
    find_device,
    free_cores,
    has_own_stream,
    has_room,
    own_stream,
    suitable_threads,
    threads_here,
    training_on,
)

CPU = torch.device("cpu")


def test_the_device_auto_is_the_first_that_is_here():
    here = "cuda" if torch.cuda.is_available() else "cpu"
    if torch.backends.mps.is_available():
        here = "mps"
    assert find_device() == find_device("auto") == torch.device(here)
    assert find_device("cpu") == find_device("CPU") == torch.device("cpu")


def refusal(name: Any) -> str:
    with pytest.raises(StudyError) as raised:
        find_device(name)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cdua", "device='cdua': unknown; did you mean cuda?"),
        ("tpu9", "device='tpu9': unknown; choose from auto, cpu, cuda, mps"),
        ("cuda:x", "device='cuda:x': unknown; did you mean cuda?"),
        ("cuda:99", "device='cuda:99': torch finds no such device here; use auto or cpu"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused_with_the_remedy(name, message):
    assert refusal(name) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused_with_the_remedy():
    assert refusal("cuda") == "device='cuda': torch finds no such device here; use auto or cpu"


def test_a_cpu_is_named_with_its_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert device_name(CPU) == "cpu, 1 thread"
        torch.set_num_threads(2)
        assert device_name(CPU) == "cpu, 2 threads"
    finally:
        torch.set_num_threads(before)


def test_what_was_not_computed_in_fp32_says_so():
    assert device_name(CPU, torch.float32) == device_name(CPU)
    assert device_name(CPU, torch.bfloat16) == f"{device_name(CPU)}, bfloat16"


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_a_precision_that_is_named_is_taken(precision, dtype):
    assert autocast_type(precision, CPU, 8) is autocast_type(precision, CPU, 32) is dtype


@pytest.mark.parametrize(
    ("avx512_bf16", "side", "dtype"),
    [
        (True, 28, torch.bfloat16),
        (True, 16, torch.bfloat16),
        (True, 15, torch.float32),
        (False, 28, torch.float32),
    ],
)
def test_auto_is_bf16_on_a_cpu_that_computes_in_it_where_it_pays(
    monkeypatch, avx512_bf16, side, dtype
):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": avx512_bf16})
    assert autocast_type("auto", CPU, side) is dtype


def test_auto_is_fp32_where_torch_cannot_tell(monkeypatch):
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert autocast_type("auto", CPU, 28) is torch.float32


def test_data_always_has_room_on_the_host():
    assert has_room(CPU, 2**60)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not create a memory object"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2 bytes"),
    ],
)
def test_out_of_memory_has_one_name_on_every_device(error):
    message = r"^out of memory on cpu; use a smaller batch_size"
    with pytest.raises(OutOfMemory, match=message), training_on(CPU):
        raise error


def test_another_error_passes_as_it_is():
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"), training_on(CPU):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    "message", ["MPS backend out of memory (MPS allocated: 9 GB)", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_out_of_memory_is_known_by_what_the_backends_say(message):
    with pytest.raises(OutOfMemory), training_on(CPU):
        raise RuntimeError(message)


@pytest.mark.parametrize(
    ("macs", "threads"), [(0, 1), (1e6, 1), (1e8, 1), (1.9e9, 1), (2e9, 2), (4.1e9, 4)]
)
def test_small_networks_suit_one_thread_and_large_ones_more(macs, threads):
    assert suitable_threads(macs) == threads


@pytest.fixture
def eight_cores(machine_of) -> None:
    machine_of(8)


@pytest.mark.usefixtures("eight_cores")
def test_threads_are_as_many_as_wanted_where_there_are_cores_for_them(monkeypatch):
    assert [threads_here(wanted) for wanted in (1, 4, 8, 99)] == [1, 4, 8, 8]
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 5})
    assert threads_here(4) == 2
    torch.set_num_threads(1)  # by the user
    assert threads_here(4) == 1


@pytest.mark.usefixtures("eight_cores")
def test_omp_num_threads_wins(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads_here(1) == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # as good as not set
    assert threads_here(1) == 1


@pytest.mark.usefixtures("eight_cores")
def test_threads_come_back_whoever_ends_first_and_what_trains_is_no_limit_for_others():
    first, second = training_on(CPU, 1), training_on(CPU, 2)
    first.__enter__()
    assert torch.get_num_threads() == 1
    assert threads_here(4) == 4
    second.__enter__()
    assert torch.get_num_threads() == 2
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 8


@pytest.mark.usefixtures("eight_cores")
def test_each_thread_trains_with_its_own_number_of_threads():
    both, numbers = threading.Barrier(2), {}

    def train(threads: int) -> None:
        torch.set_num_threads(threads + 4)
        with training_on(CPU, threads):
            both.wait()
            numbers[threads] = [device_name(CPU), threads_here(99)]
            both.wait()
        numbers[threads].append(torch.get_num_threads())

    with ThreadPoolExecutor() as pool:
        list(pool.map(train, (1, 2)))
    assert numbers == {1: ["cpu, 1 thread", 5, 5], 2: ["cpu, 2 threads", 6, 6]}
    assert torch.get_num_threads() == 8


def test_settings_of_the_process_are_entered_once_by_many_threads_and_left_by_the_last():
    entered, inside = [], threading.Barrier(8)

    @contextmanager
    def settings() -> Iterator[None]:
        entered.append("in")
        time.sleep(0.001)  # others come meanwhile
        yield
        entered.append("out")

    def need(_: int) -> None:
        inside.wait()
        with devices._for_all(settings):
            inside.wait()
            assert entered == ["in"]
            inside.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(need, range(8)))
    assert entered == ["in", "out"]


def test_a_stream_of_ones_own_is_of_a_card_alone():
    with own_stream(CPU):
        assert not has_own_stream(CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_threads_have_a_stream_each_on_a_card():
    card = find_device("cuda:0")

    def stream(_: int) -> object:
        with own_stream(card):
            inside.wait()
            assert has_own_stream(card)
            return torch.cuda.current_stream(card)

    inside = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(stream, range(2))
    assert one != other
    assert not has_own_stream(card)


def test_free_cores_are_those_of_the_affinity():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert free_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= free_cores() <= len(before)


V1 = {"cpu.cfs_quota_us": "{}\n", "cpu.cfs_period_us": "100000\n"}
V2 = {"cpu.max": "{} 100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/", {}, 8),  # no quota, or no cgroups of the CPU
        ("0::/a/b", {"a/b": (V2, "max"), "a": (V2, "350000")}, 3),  # of the one around it
        ("0::/a/b", {"a/b": (V2, "250000"), "a": (V2, "350000")}, 2),
        ("0::/a", {"a": (V2, "50000")}, 1),  # half a core
        ("0::/host/path", {"": (V2, "200000")}, 2),  # a container that sees its own as the root
        ("2:cpu,cpuacct:/a", {"cpu,cpuacct/a": (V1, "400000")}, 4),
        ("2:cpu:/a", {"cpu/a": (V1, "-1"), "cpu": (V1, "600000")}, 6),
        ("2:cpu:/docker/id", {"cpu": (V1, "200000")}, 2),
        ("2:memory:/a", {"memory/a": (V1, "200000")}, 8),
        ("0::/a", {"a": (V2, "nonsense")}, 8),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_free_cores_are_within_the_quotas_of_cgroups(tmp_path, monkeypatch, groups, files, cores):
    monkeypatch.setattr(devices, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(devices, "CGROUPS_OF_THIS", tmp_path / "own")
    (tmp_path / "own").write_text(f"{groups}\n")
    for folder, (version, quota) in files.items():
        for name, text in version.items():
            path: Path = tmp_path / "cgroup" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(quota))
    assert free_cores() == cores


SETTINGS = """
import sys
import torch
from nasopt.training.devices import training_on

exec(sys.argv[1])

def seen():
    backends = torch.backends
    names = backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision
    return *names, backends.cudnn.deterministic, backends.cudnn.benchmark

before = seen()
first, second = training_on(torch.device("cuda")), training_on(torch.device("cuda"))
first.__enter__()
second.__enter__()
within = seen()
first.__exit__(None, None, None)
still = seen()
second.__exit__(None, None, None)
print(within == still == ("tf32", "tf32", True, False), seen() == before)
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "torch.backends.cudnn.benchmark = True",
        "torch.backends.cuda.matmul.allow_tf32 = True",
        "torch.backends.fp32_precision = 'ieee'",
        "torch.set_float32_matmul_precision('medium')",
    ],
)
def test_settings_of_cuda_come_back_whatever_they_were_and_whoever_ends_first(before):
    command = [sys.executable, "-c", SETTINGS, before]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


STEPS = """
import os, resource, torch
from nasopt.training.devices import training_on

def faults_of(size):
    torch.empty(size, dtype=torch.uint8).fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(size, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def faults():
    return faults_of(40_000_000)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

without, before = faults(), resident()
with training_on(torch.device("cpu")):
    faults()
    within, kept = faults(), resident()
left = resident() - before
faults()
print(within, without, kept - before, left, faults_of(8_000_000))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_memory_is_kept_from_step_to_step_while_something_trains_and_given_back_then():
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    within, without, kept, left, after = map(int, done.stdout.split())
    pages = 40_000_000 // resource.getpagesize()
    assert within < pages < 20 * pages <= without
    assert left < pages / 4 < 0.9 * pages <= kept  # some of it was resident before
    assert (
        after < 5 * 8_000_000 // resource.getpagesize()
    )  # of 20: glibc's own way of keeping is not lost


LIMITED = """
import resource, sys
import torch
from nasopt import Conv, Experiment, Recipe, Space, categorical
from nasopt.data import digits
from nasopt.search.search import Search

space = Space(Conv(filters=8), Conv(filters=categorical(4, 12_000)))
recipe = Recipe(epochs=1, batch_size=150)
experiment = Experiment(dataset=digits(limit=200), space=space, recipe=recipe, trials=2)
search = Search(experiment, sampler="random", storage=sys.argv[1], device="cpu")
status = open("/proc/self/status").read()
used = int(status.split("VmSize:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 250 * 2**20,) * 2)
for _ in search:
    pass
for trial in search.study.trials:
    filters, state = trial.params["conv02.filters"], trial.state.name
    rows = len(search.evaluator.ledger.results(trial.user_attrs["key"]))
    print(filters, state, rows, trial.user_attrs.get("reason"))
"""


def test_under_a_limit_of_memory_what_does_not_fit_is_pruned_and_the_study_goes_on(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "x.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reason = "out of memory on cpu; use a smaller batch_size, or limits=(macs <= ...)"
    assert set(done.stdout.splitlines()) >= {"4 COMPLETE 1 None", f"12000 PRUNED 0 {reason}"}


@pytest.mark.parametrize("device", [0, None, 1.5])
def test_a_device_is_a_name_or_torchs(device):
    assert find_device(torch.device("cpu")) == CPU
    assert refusal(device) == f"device={device}: give its name, as in cpu or cuda:0"
