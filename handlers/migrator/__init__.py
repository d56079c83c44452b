"""The migration runner: a release from S3 becomes a migrated database, one deployer at a time."""
