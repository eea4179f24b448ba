"""Which URLs pyarrow reads itself, so that containers need nothing else."""

READ_BY_PYARROW = frozenset({"s3", "gs", "gcs", "abfs", "abfss"})
