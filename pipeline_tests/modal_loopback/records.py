"""What a test reads of the server's state, as plain values that travel as JSON."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CallRecord:
    """A function call.

    Attributes:
        id: what `FunctionCall.from_id` takes.
        function: name of the function.
        app: name of the app, its description if it has none.
        state: pending, running, succeeded, failed, timed out or cancelled.
        created_at: seconds since the epoch.
        tries: number of containers that began it.
        inputs: ids of its inputs.
    """

    id: str
    function: str
    app: str
    state: str
    created_at: float
    tries: int
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class ContainerRecord:
    """A container that runs.

    Attributes:
        task_id: its id.
        pid: its process, the leader of a process group; 0 while it is being started.
        function: name of the function.
        calls: ids of the calls that it works on.
    """

    task_id: str
    pid: int
    function: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class DeploymentRecord:
    """One deploy of an app.

    Attributes:
        app: name of the app.
        app_id: its id.
        version: 1 for the first deploy.
        deployed_at: seconds since the epoch.
    """

    app: str
    app_id: str
    version: int
    deployed_at: float
