"""What everything else stands on: errors, files, stored values, progress."""
