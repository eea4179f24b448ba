"""The registry of compute backends."""

import subprocess
import sys
from pathlib import Path

from pipeline.core.files import PROJECT_ROOT

CODE = """
from pathlib import Path
from pipeline.compute.choice import create_compute
create_compute("local", Path("."))
from pipeline.core.locations import remote_location
print(remote_location("modal-volume://runs/tiny-ft").way_out)
"""


def test_a_model_that_lies_with_another_compute_is_named_with_the_way_to_reach_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE]
    environment = {"PATH": "", "PYTHONPATH": str(PROJECT_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.strip() == "set PIPELINE_COMPUTE=modal"
