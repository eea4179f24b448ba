"""What people type: `python -m pipeline` and `modal run`."""
