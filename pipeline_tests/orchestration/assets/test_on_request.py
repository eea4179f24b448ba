"""A run of the whole pipeline leaves out what is made on request; a run that selects it makes it."""

from pathlib import Path

import dagster as dg
import pytest
from dagster_runs import ON_REQUEST, failures, resources_of

from pipeline.definitions import defs
from pipeline.orchestration.assets.on_request import is_left_out
from pipeline.orchestration.steps import ON_REQUEST as NAMES
from pipeline.orchestration.steps import PRODUCTION

UPSTREAM = ("raw_quora_dataset", "base_model", "train_split", "dev_split", "eval_split")


def made_upstream(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"decision": "promoted"})

    return made


def test_everything_at_once_leaves_out_what_is_made_on_request(pipeline_home: Path) -> None:
    """Nothing is stored, so a step that did its work would fail, and publishing would refuse its placeholder."""
    result = dg.materialize(
        [*map(made_upstream, (*UPSTREAM, PRODUCTION)), *ON_REQUEST],
        resources=resources_of(pipeline_home),
        raise_on_error=False,
    )
    assert failures(result) == {}
    assert {
        event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key
    } == {
        *UPSTREAM,
        PRODUCTION,
    }
    assert not result.get_asset_check_evaluations()


@pytest.mark.parametrize(("others", "left_out"), [((PRODUCTION,), True), (("base_model",), False), ((), False)])
def test_it_is_the_decision_on_production_that_leaves_an_asset_out(others: tuple[str, ...], left_out: bool) -> None:
    found = []

    @dg.asset(output_required=False)
    def asked(context: dg.AssetExecutionContext) -> None:
        found.append(is_left_out(context, "export"))

    dg.materialize([asked, *map(made_upstream, others)])
    assert found == [left_out]


def test_only_these_assets_are_made_on_request() -> None:
    quickstart = defs.resolve_job_def("quickstart").asset_layer.selected_asset_keys
    executable = defs.resolve_asset_graph().executable_asset_keys
    assert {key.to_user_string() for key in executable - quickstart} == NAMES
