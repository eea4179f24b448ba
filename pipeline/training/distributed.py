"""Several processes that train together, as `torchrun` and `accelerate launch` start them.

The first process decides and writes; the others hear of it. In a single process all of this does nothing, and torch is
not imported.
"""

import os
from collections.abc import Callable
from typing import TypeVar, cast

from pipeline.core.errors import PipelineError

T = TypeVar("T")


def processes() -> int:
    """How many processes train together, by the variable that launchers set."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def is_main() -> bool:
    """Whether this is the process that decides and writes."""
    return int(os.environ.get("RANK") or 0) == 0


def join(device: str) -> None:
    """Meet the other processes, if there are any; on a CPU by gloo, on CUDA by NCCL."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu")


def from_main(decide: Callable[[], T]) -> T:
    """Call `decide` in the first process, and return its result in every process.

    Raises:
        PipelineError: in all of them, when the first raised it.
    """
    if processes() == 1:
        return decide()
    outcome: list[T | PipelineError | None] = [None]
    if is_main():
        try:
            outcome[0] = decide()
        except PipelineError as error:
            outcome[0] = error
    from accelerate.utils import broadcast_object_list

    broadcast_object_list(outcome)
    if isinstance(outcome[0], PipelineError):
        raise outcome[0]
    return cast(T, outcome[0])


def wait() -> None:
    """Wait until every process has come here."""
    if processes() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()
