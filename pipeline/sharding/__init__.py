"""Vectors by shard, beyond the memory of one machine: their files, and the join of one shard, wherever that is done."""
