"""Where the heavy work runs: an interface, and a folder for each place. Callers don't know which one they have."""
