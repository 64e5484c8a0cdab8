import pytest

from tests.cluster import Cluster
from tests.outage import run


@pytest.mark.long
def test_writers_whose_server_is_killed_lose_no_trial(cluster: Cluster) -> None:
    run(cluster, trials=60, workers=2, down=[1.0])
