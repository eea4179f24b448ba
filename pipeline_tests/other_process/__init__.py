"""A third place to compute: another process on this machine. It shows what a place of one's own takes."""
