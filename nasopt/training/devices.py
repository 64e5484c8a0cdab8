"""The devices: finding one by its name, and the settings of torch while something trains on it."""

import ctypes
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nasopt.errors import OutOfMemory, StudyError, closest
from nasopt.text import several

Settings = Callable[[], AbstractContextManager[None]]

DEVICES = ("auto", "cpu", "cuda", "mps")
OUT_OF_MEMORY = (
    "allocate memory", "bad_alloc",  # CPU
    "could not create a primitive", "could not create a memory object",  # oneDNN
    "out of memory", "_STATUS_ALLOC_FAILED",  # mps, cuBLAS
)  # fmt: skip
# On a CPU that computes in bf16, training takes .6 of the time from this side on; on 8 pixels, as
# in digits, casting costs what it saves (Xeon with AMX, torch 2.14; 1.2 to 1.6 times faster on an
# EPYC Zen 5). Accuracies of 12 networks: -.001 +- .001, Spearman .99.
BF16_SIDE = 16
MACS_A_THREAD = 1e9  # of a batch, forward: see `suitable_threads`
CGROUPS, CGROUPS_OF_THIS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SMALLER = "use a smaller batch_size, or limits=(macs <= ...)"
# options of glibc's malloc.h, and their defaults
M_MMAP_MAX, MMAP_MAX = -4, 65_536
# once an option is set, glibc no longer adapts these two: the values are those it would end with
M_MMAP_THRESHOLD, MMAP_BYTES = -3, 32 * 2**20
M_TRIM_THRESHOLD, TRIM_BYTES = -1, 64 * 2**20


def find_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of that name, or that of torch: "auto" is cuda, else mps, else cpu.

    "cuda:1" is the second GPU. Raises StudyError for a name that is unknown, or a device that torch
    does not find.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _mps_is_available()}
    if isinstance(name, torch.device):
        name = str(name)
    if not isinstance(name, str):
        raise StudyError(f"device={name!r}: give its name, as in cpu or cuda:0")
    lower = name.lower()
    if lower == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, index = lower.partition(":")
    if kind not in available or (index and not index.isdigit()):
        raise StudyError(f"device={name!r}: unknown; {closest(lower, DEVICES)}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    missing = index and int(index) >= count
    if not available[kind] or missing:
        raise StudyError(f"device={name!r}: torch finds no such device here; use auto or cpu")
    return torch.device(lower)


def _mps_is_available() -> bool:
    return torch.backends.mps.is_available()


def lay_out(network: torch.nn.Module) -> None:
    """Put weights into channels_last; torch's own way refuses a network with some for 3-D."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def wait_for(device: torch.device) -> None:
    """Wait until all work that is queued on `device` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_name(device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Return a name for all of the device that a result may depend on.

    Examples are "cpu, 2 threads", "cpu, 1 thread, bfloat16", and the name of a card.
    """
    if device.type == "cpu":
        precision = "" if dtype is torch.float32 else f", {str(dtype).removeprefix('torch.')}"
        return f"cpu, {several(torch.get_num_threads(), 'thread')}{precision}"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def suitable_threads(macs: float) -> int:
    """Return the number of threads for a network whose batch takes so many `macs`, forward.

    Threads wait for each other after every operation. On two idle cores a second one gains nothing
    below 1e7 MACs, -9 to 41 % up to 5e8 and 55 to 92 % from 2e9 on. Beside busy processes it costs
    a factor of 3 to 30 at all of these sizes, least at the largest (`tests.benchmarks.threads`).
    """
    return max(1, int(macs / MACS_A_THREAD))


def threads_here(wanted: int) -> int:
    """Return `wanted`, but no more than the cores there are and the threads that torch may use.

    If OMP_NUM_THREADS is set, return the number that torch may use.
    """
    allowed = _torchs.threads.usual or torch.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS"):
        return allowed
    return max(1, min(wanted, allowed, free_cores()))


def free_cores() -> int:
    """Return how many cores this process may use, by its affinity and its cgroups' quotas."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min([cores or 1, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Yield the number of cores that each cgroup around this process may use, version 2 or 1."""
    try:
        lines = CGROUPS_OF_THIS.read_text().splitlines()
    except OSError:  # no Linux
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / controllers
        inner = root / path.lstrip("/")
        # a container may find its cgroup at the root, not under the path that the host has for it
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(root):
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # of the other version, or without a quota
            continue


def has_room(device: torch.device, size: int) -> bool:
    """Return whether `size` bytes take at most half of the free memory: networks need the rest."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2


def autocast_type(precision: str, device: torch.device, side: int) -> torch.dtype:
    """Return the type that `Recipe.precision` means on `device`, for images of `side` pixels."""
    if precision == "auto":
        precision = "fp32"
        if device.type == "cuda":
            with torch.cuda.device(device):  # torch asks the current one
                has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if has_bf16 else "fp16"
        elif device.type == "cpu" and side >= BF16_SIDE and _cpu_has_bf16():
            precision = "bf16"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _cpu_has_bf16() -> bool:
    """Return whether the CPU computes in bf16: others emulate it, many times slower than fp32.

    An older torch cannot tell: then the answer is no.
    """
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


@contextmanager
def training_on(device: torch.device, threads: int | None = None) -> Iterator[None]:
    """Make torch as fast as it can be on `device`, and restore the user's settings afterwards.

    `threads` is how many it uses on the CPU, by default as many as it is set to.

    Raises OutOfMemory if the body runs out of memory.
    """
    settings = _fast_and_exact if device.type == "cuda" else _memory_kept
    with out_of_memory_told(device), _for_all(settings), _threads_back():
        if threads is not None:
            torch.set_num_threads(threads)
        yield


@contextmanager
def out_of_memory_told(device: torch.device) -> Iterator[None]:
    """Raise OutOfMemory for the errors of Python and torch; on the CPU torch's have no class."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"out of memory on {device}; {SMALLER}") from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        raise OutOfMemory(f"out of memory on {device}; {SMALLER}") from error


_users: Counter[Settings] = Counter()
_entered: dict[Settings, ExitStack] = {}
_settling = threading.Lock()


@contextmanager
def _for_all(settings: Settings) -> Iterator[None]:
    """Apply `settings`, which are of the whole process, as long as a training needs them.

    Trainings end in whatever order, and in whatever thread.
    """
    with _settling:
        if not _users[settings]:
            _entered[settings] = ExitStack()
            _entered[settings].enter_context(settings())
        _users[settings] += 1
    try:
        yield
    finally:
        with _settling:
            _users[settings] -= 1
            if not _users[settings]:
                _entered.pop(settings).close()


@dataclass
class _Threads:
    """The number of threads that torch uses for one thread of Python, which is its own."""

    usual: int = 0  # kept while something trains; 0 while nothing does
    trainings: int = 0


class _Torchs(threading.local):
    def __init__(self) -> None:
        self.threads = _Threads()


_torchs = _Torchs()


@contextmanager
def _threads_back() -> Iterator[None]:
    """Restore torch's number of threads after the last training of this thread."""
    here = _torchs.threads  # also if the training is closed by another thread
    if not here.trainings:
        here.usual = torch.get_num_threads()
    here.trainings += 1
    try:
        yield
    finally:
        here.trainings -= 1
        if not here.trainings:
            torch.set_num_threads(here.usual)
            here.usual = 0


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let this thread compute beside others on a card: on a CUDA stream of its own.

    It begins after what is queued on the default stream, as the copying of images is.
    """
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(stream):
        yield


def has_own_stream(device: torch.device) -> bool:
    """Return whether this thread computes there beside others."""
    if device.type != "cuda":
        return False
    return torch.cuda.current_stream(device) != torch.cuda.default_stream(device)


def wait_for_own(device: torch.device) -> None:
    """Wait for what this thread has queued on a card, and not for what others have."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


@contextmanager
def _fast_and_exact() -> Iterator[None]:
    """Use TF32 for what stays in fp32, and only algorithms whose results are reproducible."""
    cudnn = torch.backends.cudnn
    tf32 = _tf32()
    before = [getattr(where, name) for where, name, _ in tf32]
    choice = cudnn.deterministic, cudnn.benchmark
    for where, name, value in tf32:
        setattr(where, name, value)
    cudnn.deterministic = True
    cudnn.benchmark = False  # it chooses by time, so that a resumed epoch would differ
    try:
        yield
    finally:
        for (where, name, _), value in zip(tf32, before, strict=True):
            setattr(where, name, value)
        cudnn.deterministic, cudnn.benchmark = choice


def _tf32() -> list[tuple[Any, str, Any]]:
    """Return the settings for TF32 as (where, setting, value).

    Once the newer names of torch are in use, the older ones may not be read.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv") and hasattr(matmul, "fp32_precision"):
        return [(matmul, "fp32_precision", "tf32"), (cudnn.conv, "fp32_precision", "tf32")]
    return [(matmul, "allow_tf32", True), (cudnn, "allow_tf32", True)]


@contextmanager
def _memory_kept() -> Iterator[None]:
    """Keep the memory that one step frees in the process, for the next step.

    By default, glibc gives every large buffer back to the kernel, which zeroes each of its pages
    anew a moment later: 6 to 11 % of the time at a batch size of 128, a third at 512 (5 layers on
    Fashion-MNIST).
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # macOS, musl
        yield
        return
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, MMAP_MAX)
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
        libc.malloc_trim(0)
