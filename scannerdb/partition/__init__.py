"""Hash partitioning of `job_objects` behind its name, while writers go on writing."""
