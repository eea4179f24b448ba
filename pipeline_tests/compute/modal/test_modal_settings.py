"""Settings, prices and names for Modal: what they give, and what they refuse before anything is paid for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.compute.modal.code_hashes import app_name
from pipeline.compute.modal.settings import ModalSettings, PriceTable, require_same_memory, which_gpu
from pipeline.compute.modal.volumes import inside
from pipeline.core.errors import DamagedError, SettingError
from pipeline.core.files import PROJECT_ROOT
from pipeline.orchestration.resources import default_resources


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GPU", "TIMEOUT_HOURS", "HF_SECRET", "PRICES"):
        monkeypatch.delenv(f"PIPELINE_MODAL_{name}", raising=False)


def test_the_default_is_an_h100_and_the_next_best_of_the_same_memory() -> None:
    settings = ModalSettings.from_environment()
    assert settings == ModalSettings(gpus=("H100!", "A100-80GB"), timeout=8 * 3600, hf_secret=None)
    require_same_memory(settings.gpus, PriceTable.load())


@pytest.mark.parametrize(
    "settings",
    [ModalSettings((), 1, None), ModalSettings(("L4", "H100!"), 10_001, "hf")],
)
def test_containers_read_the_settings_that_they_were_made_with(
    settings: ModalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert ModalSettings.from_environment() == settings


def test_none_means_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "none")
    assert ModalSettings.from_environment().gpus == ()


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("GPU", "H100,,L4", "H100,,L4"),
        ("GPU", "H100:2", "H100:2"),
        ("GPU", "L4:0", "L4:0"),
        ("GPU", "H100!, A100-80GB:2", "A100-80GB:2"),
        ("GPU", "H100:", "H100:"),
        ("GPU", "H100:many", "H100:many"),
        ("TIMEOUT_HOURS", "25", "25"),
        ("TIMEOUT_HOURS", "soon", "soon"),
    ],
)
def test_an_invalid_setting_or_more_than_one_gpu_is_refused_when_the_definitions_load(
    name: str, value: str, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_COMPUTE", "modal")
    monkeypatch.setenv(f"PIPELINE_MODAL_{name}", value)
    with pytest.raises(SettingError) as caught:
        default_resources()
    assert caught.value.values == {"setting": f"PIPELINE_MODAL_{name}", "value": refused}


def test_one_gpu_may_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_MODAL_GPU", "H100:1, A100-80GB")
    assert ModalSettings.from_environment().gpus == ("H100", "A100-80GB")


def test_the_definitions_for_modal_limit_trainings_by_a_pool_and_import_neither_modal_nor_torch() -> None:
    code = """
import sys, json
from pipeline.definitions import defs
print(json.dumps([defs.resolve_assets_def("fine_tuned_model").op.pool, sorted(sys.modules)]))
"""
    environment = {"PIPELINE_COMPUTE": "modal", "PYTHONPATH": str(PROJECT_ROOT), "PATH": ""}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    pool, modules = json.loads(output)
    assert pool == "compute"
    assert set(modules).isdisjoint({"modal", "torch", "transformers", "sentence_transformers"})


def test_gpus_of_different_memory_need_a_token_budget() -> None:
    with pytest.raises(SettingError, match="set token_budget") as caught:
        require_same_memory(("H100", "L4"), PriceTable.load())
    assert caught.value.values["memory"] == {"H100": 80, "L4": 24}


@pytest.mark.parametrize(
    ("device", "gpu"),
    [
        ("NVIDIA H100 80GB HBM3", "H100!"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA L4", "NVIDIA L4"),
        ("none", "none"),
    ],
)
def test_a_device_is_one_of_the_types_that_were_asked_for(device: str, gpu: str) -> None:
    assert which_gpu(("H100!", "A100-80GB"), device) == gpu


def test_a_cost_is_seconds_times_the_price_of_the_gpu() -> None:
    prices = PriceTable.load()
    assert prices.cost("H100!", 3600) == pytest.approx(3.9492)
    assert prices.cost("H100", 7200) == pytest.approx(7.8984)
    assert prices.cost("none", 3600) == 0
    assert prices.cost("NVIDIA Something", 3600) is None


def test_a_price_table_of_your_own_replaces_the_projects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    monkeypatch.setenv("PIPELINE_MODAL_PRICES", str(path))
    with pytest.raises(SettingError) as caught:
        PriceTable.load()
    assert caught.value.values["path"] == path
    table = {"as_of": "2027-01-01", "currency": "EUR", "gpus": {"H100": {"per_second": 0.001, "memory_gb": 80}}}
    path.write_text(json.dumps(table))
    assert PriceTable.load().cost("H100", 1000) == pytest.approx(1)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/../evil", "..", ""])
def test_a_file_that_climbs_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DamagedError) as caught:
        inside(tmp_path, name)
    assert caught.value.values == {"file": name}


def test_a_file_of_a_volume_lies_below_its_folder(tmp_path: Path) -> None:
    assert inside(tmp_path, "/tiny-ft/model.safetensors") == tmp_path / "tiny-ft" / "model.safetensors"


def test_other_containers_are_another_app() -> None:
    default = ModalSettings.from_environment()
    assert app_name("code", default) == app_name("code", ModalSettings.from_environment())
    assert app_name("code", default) != app_name("code", ModalSettings(("L4",), default.timeout, None))
    assert app_name("code", default) != app_name("other code", default)
