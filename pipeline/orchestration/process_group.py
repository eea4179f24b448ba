"""Imported first by the server of the steps: puts it, and all steps with it, into a process group of its own.

A terminal sends Ctrl-C to every process of a group. Helpers of Dagster that a step has started would print a traceback,
and the step would be interrupted twice: the process of the run ends its steps itself. Where that process is killed, and
its own group at most with it, the steps end by themselves.
"""

import os
import select
import signal
import threading

os.setpgid(0, 0)

_run = os.pidfd_open(os.getppid())
"""The process of the run: readable once it is gone."""


def _end_with_the_run() -> None:
    def wait() -> None:
        select.select([_run], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end with the run", daemon=True).start()


# In the steps alone: the server must have one thread, as what others hold in it would stay held in the steps.
os.register_at_fork(after_in_child=_end_with_the_run)
