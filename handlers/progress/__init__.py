"""Progress of jobs: `reads` for the status API, `maintenance` for the function `refresh` and the command line."""
