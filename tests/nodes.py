"""A Ray cluster on the loopback device of this machine, whose nodes a test may kill.

It runs in a process of its own: `python -m tests.nodes 2 1 0` begins 2 nodes of 1 core and no GPU,
prints the address, kills a node for each number that it reads, and ends with its input.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OBJECT_STORE = 80 * 2**20  # bytes, Ray's least
# The loopback device alone, a token for it, and no statistics to anybody.
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes 127.0.0.1 for the public address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "nasopt" * 8,
}


class Nodes:
    """The cluster, for a test. `folder` takes what each node keeps in the user's home otherwise."""

    def __init__(self, folder: Path, count: int, cpus: int = 1, gpus: int = 0) -> None:
        self.environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(ROOT)}
        words = (folder, count, cpus, gpus)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.nodes", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self.environment,
        )
        self.address = self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self, number: int) -> None:
        """Kill all processes of a node, without a word."""
        assert self.process.stdin is not None
        print(number, file=self.process.stdin, flush=True)
        assert self._answer() == "killed"

    def command(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Begin a command of nasopt's in the cluster."""
        return subprocess.Popen(
            [sys.executable, "-m", "nasopt", *words, "--ray", self.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, "NASOPT_TAKEOVER": "2"},
            **options,  # type: ignore[call-overload]
        )

    def close(self) -> None:
        self.process.communicate(timeout=60)


def main(folder: str, count: int, cpus: int, gpus: int) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    nodes = []
    for number in range(count):
        state = f"{folder}/node{number}"  # no host sees the locks of another
        head = {"include_dashboard": False} if number == 0 else {}
        nodes.append(
            cluster.add_node(
                node_ip_address="127.0.0.1",
                num_cpus=cpus,
                num_gpus=gpus,
                object_store_memory=OBJECT_STORE,
                env_vars={"XDG_STATE_HOME": state, "OMP_NUM_THREADS": "1"},
                **head,
            )
        )
    print(cluster.address, flush=True)
    for line in sys.stdin:
        cluster.remove_node(nodes[int(line)], allow_graceful=False)
        print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
