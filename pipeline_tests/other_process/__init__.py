"""A third compute backend: another process on this machine. It shows what a backend of your own takes."""
