"""Where the heavy work runs. Callers don't know which implementation they have."""
