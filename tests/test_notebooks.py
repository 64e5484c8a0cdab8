"""The notebooks of the documentation run as they stand."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
FORGET = "%reset -f"  # the names of the notebook before


def test_the_notebooks_run_from_start_to_end(tmp_path):
    whole = nbformat.v4.new_notebook()  # in one kernel, which imports PyTorch once
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") for cell in cells)  # nobody's machine is in it
        whole.cells += [*cells, nbformat.v4.new_code_cell(FORGET)]
    client = NotebookClient(whole, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in whole.cells for output in cell.get("outputs", [])]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert {path.name for path in (tmp_path / "runs").glob("*.db")} == {"lecture.db", "pictures.db"}
