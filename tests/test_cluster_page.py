"""The batch script of the page on clusters, run without Slurm: `srun` and `scontrol` are ours."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import rows, study_file, wait_for

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "cluster.md"
BOTH_IN_HAND = (
    "SELECT 1 FROM trials JOIN trial_intermediate_values USING (trial_id) "
    "WHERE state = 'RUNNING' HAVING count(DISTINCT trial_id) = 2"
)
SRUN = """#!/bin/bash
echo $$ > "$SLURM_ARRAY_TASK_ID.pid"
exec "$@"
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo "JobState=RUNNING PreemptTime=$PREEMPTED"; else echo "$@" >> scontrol
fi
"""


class Slurm:
    """Runs the page's script as the tasks of an array, in `folder`."""

    def __init__(self, folder: Path, nasopt: str) -> None:
        self.folder = folder
        found = re.search(r"```bash\n(#!/bin/bash\n.*?)```", PAGE.read_text(), re.DOTALL)
        assert found is not None
        (folder / "bin").mkdir(parents=True)
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("nasopt", nasopt)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        (folder / "job.sh").write_text(found[1])

    def start(self, task: int, storage: str = "", preempted: str = "None") -> subprocess.Popen[str]:
        (self.folder / f"{task}.pid").unlink(missing_ok=True)
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "SLURM_ARRAY_JOB_ID": "7",
            "SLURM_ARRAY_TASK_ID": str(task),
            "NASOPT_STORAGE": storage,
            "SCRATCH": str(self.folder / "scratch"),
            "PREEMPTED": preempted,
        }
        return subprocess.Popen(
            ["bash", "job.sh"],
            cwd=self.folder, env={**os.environ, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @property
    def asked(self) -> list[str]:
        """What `scontrol` was asked to do."""
        log = self.folder / "scontrol"
        return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("code", "preempted", "asked"),
    [
        (0, "None", []),
        (2, "None", []),
        (138, "None", ["requeue 7_3"]),
        (143, "None", []),
        (143, "2026-11-28T12:00:00", ["requeue 7_3"]),
    ],
)
def test_a_job_is_queued_again_if_it_was_stopped_before_its_end(tmp_path, code, preempted, asked):
    slurm = Slurm(tmp_path, f"#!/bin/bash\necho $@\nexit {code}\n")
    job = slurm.start(3, "postgresql://nas@db/nas", preempted)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == code
    assert out.startswith("run studies/cifar10.py --storage postgresql://nas@db/nas --checkpoints")
    assert slurm.asked == asked


@pytest.mark.long
def test_jobs_that_slurm_signals_finish_their_study_after_their_return(
    tmp_path, postgresql: Callable[[], str]
):
    nasopt = f'#!/bin/bash\nexec {sys.executable} -m nasopt "$@" --device cpu --sampler random\n'
    slurm, url = Slurm(tmp_path / "slurm", nasopt), postgresql()
    (slurm.folder / "studies").mkdir()
    trials = 10
    study = Path(study_file(tmp_path, trials, epochs=20)).read_text()
    (slurm.folder / "studies" / "cifar10.py").write_text(study)
    signals = {0: signal.SIGUSR1, 1: signal.SIGTERM}
    jobs = {task: slurm.start(task, url, "2026-11-28T12:00:00") for task in signals}
    wait_for(jobs[0], url, BOTH_IN_HAND)
    for task, signum in signals.items():
        os.kill(int((slurm.folder / f"{task}.pid").read_text()), signum)
        jobs[task].send_signal(signum)  # as Slurm may
    for task, signum in signals.items():
        _, said = jobs[task].communicate(timeout=300)
        assert jobs[task].returncode == 128 + signum, said
        assert f"stopped by {signum.name}; the same command goes on" in said
    assert sorted(slurm.asked) == ["requeue 7_0", "requeue 7_1"]
    assert any((slurm.folder / "scratch" / "nasopt").rglob("*.pt"))
    for job in [slurm.start(task, url) for task in signals]:
        _, said = job.communicate(timeout=300)
        assert job.returncode == 0, said
    told = "SELECT number FROM trials WHERE state = 'COMPLETE' AND trial_id NOT IN "
    told += "(SELECT trial_id FROM trial_user_attributes WHERE key = 'free')"
    assert len(rows(url, told)) == trials
    assert not rows(url, "SELECT 1 FROM trials WHERE state IN ('RUNNING', 'WAITING')")
