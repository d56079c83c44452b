"""The roles of the database. migrations/roles.sql creates all but the owner, which RDS creates."""

# Stands for the login that owns the tables, whose name is the setting `database.master_username`. Only `migrate` reads
# its password.
OWNER = "owner"
# These log in with an IAM token.
APPLICATION = "scanner_app"
REFRESHER = "progress_refresher"
READER = "progress_reader"
DOCTOR = "scanner_doctor"
IAM_ROLES = (APPLICATION, REFRESHER, READER, DOCTOR)
