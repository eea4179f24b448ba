"""`python -m pipeline export` as a person types it, and the other commands with what it writes."""

import re
import sys
from pathlib import Path

import pytest
from small_data import write_small_pairs

from pipeline.command_line.cli import main
from pipeline.exporting.record import read_record


class Command:
    """Runs a command, and returns what it printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        self._monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        self._capsys.readouterr()
        if not status:
            main()
            return self._capsys.readouterr().out
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == status
        return self._capsys.readouterr().err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pipeline_home: Path) -> Command:
    return Command(monkeypatch, capsys)


def test_an_export_is_used_as_a_model(command: Command, deciding_model: Path, tmp_path: Path) -> None:
    out, pairs = tmp_path / "exported", write_small_pairs(tmp_path / "labelled.tsv")
    said = command("export", "onnx", "--model", str(deciding_model), "--out", str(out), "--pairs", str(pairs))
    assert re.search(r"Export   .*exported: fp32, [\d.]+ MB, 32 dimensions", said)
    assert re.search(r"Cosine   to the model's embeddings at least (1\.0|0\.9999)\d+, .*questions", said)
    ours, theirs = re.findall(r"AP       ([\d.]+), the model's ([\d.]+), on 240 pairs of ", said)[0]
    assert ours == theirs
    assert re.search(r"Decision threshold [\d.]+: the model's, chosen on 400 dev pairs", said)
    whole = command("compare", "Why is it?", "How do I learn?", "--model", str(deciding_model))
    exported = command("compare", "Why is it?", "How do I learn?", "--model", str(out))
    assert exported.splitlines()[:3] == whole.splitlines()[:3]
    assert f"Model    the export {out}: " in exported
    refused = command("export", "onnx", "--model", str(out), "--out", str(tmp_path / "again"), status=1)
    assert "is already an export: " in refused
    refused = command("compare", "a", "b", "--model", str(out), "--device", "cuda", status=1)
    assert "an export runs on the CPU, not on cuda" in refused
    assert read_record(out).model_name == deciding_model.name


def test_int8_without_labelled_pairs_says_how_to_name_some(
    command: Command, deciding_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "exported"
    refused = command("export", "onnx-int8", "--model", str(deciding_model), "--out", str(out), status=1)
    assert "--pairs" in refused
    assert not out.exists()


def test_a_folder_with_other_things_is_refused_before_anything_is_loaded(command: Command, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    refused = command("export", "onnx", "--model", "nothing-there", "--out", str(tmp_path), status=1)
    assert f"{tmp_path} exists and is no export" in refused
