"""Everything that Dagster loads: assets, checks, jobs, schedules, sensors and resources."""
