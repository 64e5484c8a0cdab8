"""Workers as tasks of Ray, which finds a node for each of them and tells when one is lost.

Ray places, starts and cancels; what is ours is in `processes`: who is replaced, what is told, how
it ends. Two facts of Ray carry this. Cancelling a task is a SIGINT in it, which stops a search
within a batch. A task that has ended has told all: putting into Ray's queue waits for it.
"""

import logging
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nasopt.errors import StudyError
from nasopt.search.processes import POLL_SECONDS, UNREAD, Crew, News
from nasopt.search.working import Begun, Ended, Killed, Tell
from nasopt.storage.database import file_of, storage_url
from nasopt.text import installing, several

logger = logging.getLogger("nasopt")

REACH_SECONDS = 10  # until an address that does not answer is given up; Ray takes 14 minutes
ASK_AGAIN_SECONDS = 30  # after which a worker that was asked to stop, and has not, is ended at once
DEVICES = ("auto", "cpu", "cuda")
OF_DRIVER = ("NASOPT_", "PG")  # variables that workers have as the driver has them: ours, libpq's
# What a search makes beside its study file is not shipped with it; nor does Ray ship .git and venv.
NOT_SHIPPED = ["runs/", "*.db", "*.db-*", "*.db.*", "*.checkpoints/", "*.weights/", "*-model/"]
SHARE = "each node has to have it under the same path"
KNOWN = r"A worker died or was killed"  # a paragraph of Ray's on what is told in a line here

Given = TypeVar("Given")


class Share(NamedTuple):
    """What a worker has of its node."""

    cpus: int = 1
    gpus: float = 0

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        return several(self.cpus, "CPU") + gpus

    def fits(self, resources: dict[str, float]) -> int:
        """Return how many workers `resources` have room for."""
        room = resources.get("CPU", 0) // self.cpus
        if self.gpus:
            room = min(room, (resources.get("GPU", 0) + 1e-6) // self.gpus)
        return int(room)


class Node(NamedTuple):
    """The place of a worker on whichever node has room, and what it has of the driver's."""

    device: str
    share: Share
    folder: str  # in which the driver works
    variables: dict[str, str]
    version: str  # of nasopt

    @classmethod
    def for_worker(cls, device: str, share: Share) -> "Node":
        """Return the place of a worker of this process."""
        known = {name: value for name, value in os.environ.items() if name.startswith(OF_DRIVER)}
        return cls(device, share, os.getcwd(), known, version("nasopt"))

    def take(self) -> None:
        """Let this process be the worker: in the folder of that name, if this node has one."""
        if version("nasopt") != self.version:
            raise StudyError(
                f"nasopt {version('nasopt')} is on node {socket.gethostname()}, {self.version} is "
                "where the command runs; install the same on all nodes"
            )
        os.environ.update(self.variables)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)

    @property
    def where(self) -> str:
        """The host and the device, in words."""
        return f"{socket.gethostname()}, {self.device}"


def find_nodes(
    device: str, workers: int | None = None, gpus: float | None = None, cpus: int = 1
) -> list[Node]:
    """Return the places of as many workers as were asked for, in the cluster of `connect`.

    By default a worker has one GPU where there are some, and there are as many as find room.

    Raises StudyError for a device that the cluster does not have, or if there is no room for one.
    """
    if device not in DEVICES:
        raise StudyError(
            f"device={device!r}: Ray deals the devices of its nodes; use {', '.join(DEVICES)}, and "
            "--gpus-per-worker"
        )
    if gpus is None:
        there = any(node["Resources"].get("GPU", 0) >= 1 for node in _nodes())
        gpus = float(device == "cuda" or (there and device == "auto"))
    elif device == "cpu" and gpus:
        raise StudyError(f"gpus_per_worker={gpus:g}: of no use on device='cpu'; leave one out")
    share = Share(cpus, gpus)
    place = Node.for_worker("cuda" if gpus else "cpu", share)
    return [place] * find_room(workers, share)


def connect(address: str, study: str | None) -> None:
    """Connect to the Ray cluster at `address`, and ship the folder of the file `study` to it.

    The address "auto" is that of RAY_ADDRESS, else of the cluster of which this machine is a node.
    Raises StudyError if ray is not installed, or there is no cluster that takes this process.
    """
    if address.startswith("ray://"):
        raise StudyError(
            f"ray={address}: an address of Ray Client, which this does not speak; run the command "
            "on a node of the cluster, or hand it in there: ray job submit -- nasopt run ..."
        )
    ray = _imported()
    found = _reached(address)
    refusals = (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError)
    init = partial(ray.init, found, log_to_driver=False, logging_level=logging.ERROR)
    try:
        try:
            init(runtime_env=_shipped(study))
        except refusals as error:
            if "exceeds the maximum size" not in str(error):
                raise
            ray.shutdown()
            logger.warning("%s: Ray ships up to 512 MiB, and its folder has more; %s", study, SHARE)
            init()
    except refusals as error:
        raise StudyError(f"ray={found}: {_in_a_line(error)}") from error


def _imported() -> Any:
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", KNOWN)  # read when it is imported
    os.environ.setdefault("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "1")  # images are often in there
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise StudyError(f"ray is not installed; run: {installing('ray')}") from error
    return ray


def _reached(address: str) -> str:
    """Return the address as host:port, once something listens there."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address(address)
    except ConnectionError:
        found = None
    except ValueError as error:
        raise StudyError(f"ray={address}: not an address; write HOST:PORT, or auto") from error
    if found is None:
        raise StudyError(
            "ray: no cluster runs on this machine; begin one (ray start --head), or give the "
            "address of one: --ray HOST:PORT"
        )
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise StudyError(
            f"ray={found}: no answer ({error.strerror or error}); see whether the cluster runs: "
            "ray status"
        ) from error
    return str(found)


def _shipped(study: str | None) -> dict[str, Any] | None:
    """Return what Ray copies to the nodes, which is nothing for a job that has shipped its own."""
    if study is None or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return None
    folder = Path(study).resolve().parent
    return {"working_dir": str(folder), "excludes": NOT_SHIPPED}


def _in_a_line(error: BaseException) -> str:
    """Return what Ray complains about: its causes quote whole tracebacks."""
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    if "AuthToken" in text:
        return (
            "the cluster asks for a token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
            "~/.ray/auth_token as on its head"
        )
    return f"{' '.join(str(error).split())}; see whether it is that cluster: ray status"


def shipped_file(study: str) -> str:
    """Return where a task of Ray, at its beginning, finds the study file."""
    here = Path(Path(study).name)
    return str(here.resolve()) if here.is_file() else study


def check_storage(location: str | Path | None) -> None:
    """Raise StudyError if `location`, None being a file, is a file and there are several nodes.

    A file system that several hosts share does not keep SQLite's locks reliably.
    """
    nodes = len(_nodes())
    if nodes > 1 and (location is None or file_of(storage_url(location)) is not None):
        raise StudyError(
            f"storage={location or 'a file'}: SQLite's file, which the {nodes} nodes of the Ray "
            "cluster cannot share safely; use --storage postgresql+psycopg://USER@HOST/NAME"
        )


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def find_room(workers: int | None, share: Share) -> int:
    """Return the number of workers, by default as many as the cluster has room for.

    A warning says if some will wait for theirs. Raises StudyError if no node has room for one: Ray
    would wait for ever.
    """
    import ray

    if workers is not None and workers < 1:
        raise StudyError(f"workers={workers}: use a whole number from 1")
    if share.cpus < 1:
        raise StudyError(f"cpus_per_worker={share.cpus}: use a whole number from 1")
    if share.gpus < 0 or (share.gpus > 1 and share.gpus != int(share.gpus)):
        raise StudyError(
            f"gpus_per_worker={share.gpus:g}: use a part of one, 0.5 say, or a whole number"
        )
    nodes = [node["Resources"] for node in _nodes()]
    room = sum(map(share.fits, nodes))
    if not room:
        most = Share(
            max(1, int(max(each.get("CPU", 0) for each in nodes))),
            max(each.get("GPU", 0) for each in nodes),
        )
        raise StudyError(
            f"ray: a worker takes {share}, and no node of the cluster has that (the largest: "
            f"{most}); ask for less, or add a node"
        )
    wanted = workers or room
    free = min(room, share.fits(ray.available_resources()))
    if wanted > room:
        logger.warning(
            "workers=%d: the Ray cluster has room for %d, of %s each; the others begin once a "
            "node joins", wanted, room, share,
        )  # fmt: skip
    elif wanted > free:
        logger.warning(
            "workers=%d: others use the Ray cluster, there is room for %d now; the others begin "
            "once there is more", wanted, free,
        )  # fmt: skip
    return wanted


class RayCrew(Crew[Given]):
    """A `Crew` whose workers are tasks of Ray, each with its `share` of whichever node has it.

    One that is lost with its process or its node begins anew where there is room.
    """

    def __init__(
        self, work: Callable[[Given, Tell], None], given: Sequence[Given], share: Share
    ) -> None:
        super().__init__(work, given)
        self.share = share
        self.processes: dict[int, _Task] = {}
        self._asked = 0.0  # when, to stop; 0: not yet

    def __iter__(self) -> Generator[News]:
        from ray.util.queue import Queue

        self._queue = Queue(UNREAD, actor_options=_beside_this())
        for number in range(len(self.given)):
            yield News(number, Begun("no node yet"))
        yield from super().__iter__()

    def _start(self, number: int) -> None:
        import ray

        options = {
            "num_cpus": self.share.cpus,
            "num_gpus": self.share.gpus,
            "max_retries": 0,  # who is replaced, and when no more, is decided here
            "max_calls": 1,  # a process for each: nothing is left of the one before
        }
        task = ray.remote(**options)(_work).options(name=f"worker {number} of nasopt")
        ref = task.remote(self.work, self.given[number], number, self._queue)
        self.processes[number] = _Task(ref)
        self._told_end.difference_update(self.workers[number])

    def _stop(self) -> None:
        """Ask all to stop, and again those that have lost that, as one may while it begins.

        Where it was not lost, the second time ends the process, and the next run finds its trial.
        """
        super()._stop()
        if time.monotonic() - self._asked > ASK_AGAIN_SECONDS:
            if self._asked:
                for task in self.processes.values():
                    task.terminate()
            self._asked = time.monotonic()

    def _left(self, process: Any) -> Ended | Killed:
        task: _Task = process
        return task.left()

    def _next(self) -> News | None:
        """Return what is told next, or that a task has ended, once it has nothing more to tell."""
        import ray
        from ray.util.queue import Empty

        if self._stopping:
            self._stop()
        tasks = {task.ref: number for number, task in self.processes.items()}
        ended, _ = ray.wait(list(tasks), timeout=0)  # first: then all that it told is in the queue
        try:
            number, said = self._queue.get(timeout=POLL_SECONDS)
            return News(number, pickle.loads(said))
        except Empty:
            return News(tasks[ended[0]], None) if ended else None


class _Task:
    """A task as `Crew` sees a process."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref

    def terminate(self) -> None:
        import ray

        ray.cancel(self.ref, recursive=False)  # else it could no longer tell anything

    def left(self) -> Ended | Killed:
        """Return how the task ended."""
        import ray
        from ray import exceptions

        try:
            ray.get(self.ref)
        except exceptions.TaskCancelledError:
            return Ended(130)
        except exceptions.OutOfMemoryError:
            return Killed("Ray, since the memory of its node was used up")
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError):
            return Killed("the end of its node")
        except exceptions.WorkerCrashedError:
            return Killed("the end of its process or node")
        except exceptions.RayError as error:
            return Ended(2, f"ray: {_of_a_node(error)}")
        return Ended(1, "it left without a word")


def _of_a_node(error: Exception) -> str:
    """Return in a line why Ray could not run a task."""
    text = str(error)
    if "No module named 'nasopt" in text:
        return "a node has no nasopt; install the same version on all nodes"
    return next((line for line in reversed(text.splitlines()) if line.strip()), repr(error))


def _beside_this() -> dict[str, Any]:
    """Return the options of Ray's queue: on this node, whose end is the end of all, and no CPU."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    lives = {"max_restarts": -1, "max_task_retries": -1}
    return {"num_cpus": 0, "scheduling_strategy": here, **lives}


def _work(work: Callable[[Given, Tell], None], given: Given, number: int, queue: Any) -> None:
    from ray.exceptions import RayActorError, TaskCancelledError

    # A node that was begun in the background of a script ignores it, and so would its workers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    one_at_a_time = threading.Lock()  # what a tracker logs comes from a thread of its own

    def tell(said: Any) -> None:
        try:
            with one_at_a_time:
                queue.put((number, pickle.dumps(said)))  # else the queue imports all of nasopt
        except TaskCancelledError:  # the search stops by the signal, and gives its trial back
            pass
        except RayActorError as error:  # the driver is gone
            raise BrokenPipeError from error

    work(given, tell)
