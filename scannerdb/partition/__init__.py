"""Partitions `job_objects` by hash, online: under the same name, while writers go on."""
