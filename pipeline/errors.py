"""The one exception that a user is meant to read."""


class PipelineError(Exception):
    """Something that the user can put right.

    The message is one line that names the thing, the value and the way out. Assets turn it into a
    `dagster.Failure` and the command line into its last line, both without a traceback.
    """
