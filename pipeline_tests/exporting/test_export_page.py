"""What the page on exports shows is run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_docs import blocks

from pipeline.core.files import PROJECT_ROOT
from pipeline.exporting.onnx_model import OnnxEncoder

PAGE = "export.md"


def test_fifteen_lines_with_onnxruntime_give_what_the_project_gives(exported: Path, tmp_path: Path) -> None:
    (script,) = blocks(PAGE, "python")
    assert len([line for line in script.splitlines() if line.strip()]) <= 15
    (tmp_path / "my-export").symlink_to(exported)
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert result.returncode == 0, result.stderr
    first, second = OnnxEncoder(exported).embed(["How do I learn Python?", "What is the best way to learn Python?"])
    assert float(result.stdout) == pytest.approx(float(np.dot(first, second)), abs=1e-5)


@pytest.mark.parametrize("page", ["README.md", "docs/use-the-model.md", "docs/architecture.md"])
def test_the_page_is_found_from_where_people_are(page: str) -> None:
    assert PAGE in (PROJECT_ROOT / page).read_text(encoding="utf-8")
