"""Imported first by the server of the steps: puts it, and all steps with it, into a process group of its own.

A terminal sends Ctrl-C to every process of a group. Helpers of Dagster that a step has started would print a traceback,
and the step would be interrupted twice: the process of the run ends its steps itself.
"""

import os

os.setpgid(0, 0)
