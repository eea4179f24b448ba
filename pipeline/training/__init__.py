"""The training: what to do (recipe), doing it (trainer), and what is kept (checkpoints, the run folder)."""
