"""A Ray cluster on the loopback device of this machine, whose nodes a test may kill."""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MEGABYTE = 2**20
# The loopback device alone, nothing in the user's home, no statistics to strangers.
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes 127.0.0.1 for the public address
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "nasopt" * 8,
}


class Nodes:
    """A cluster of nodes of `cpus` cores each, the first of which has its head."""

    def __init__(self, count: int, cpus: int = 1, gpus: int = 0, folders: Path | None = None):
        os.environ.update(SETTINGS)
        from ray.cluster_utils import Cluster

        self.folder = folders or Path(tempfile.mkdtemp(prefix="nasopt-ray-"))
        self.cluster = Cluster()
        self.nodes = [self._add(number, cpus, gpus) for number in range(count)]
        self.address = self.cluster.address

    def _add(self, number: int, cpus: int, gpus: int):
        state = str(self.folder / f"state{number}")  # no host sees another's locks
        head = {"include_dashboard": False} if number == 0 else {}
        return self.cluster.add_node(
            node_ip_address="127.0.0.1",
            num_cpus=cpus,
            num_gpus=gpus,
            object_store_memory=80 * MEGABYTE,
            env_vars={"XDG_STATE_HOME": state, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            **head,
        )

    def kill(self, number: int) -> None:
        """Kill all processes of a node, without a word."""
        self.cluster.remove_node(self.nodes[number], allow_graceful=False)

    def close(self) -> None:
        self.cluster.shutdown()


if __name__ == "__main__":  # for a person: python -m tests.nodes 2
    nodes = Nodes(int(sys.argv[1]))
    print(nodes.address, flush=True)
    sys.stdin.readline()
    nodes.close()
