"""The database and its roles. migrations/roles.sql creates all but the owner, which RDS creates."""

DATABASE = "scanner_db"

# Owns the tables. RDS makes and rotates its password; only `migrate` reads it.
OWNER = "scanner_admin"
# These log in with an IAM token.
APPLICATION = "scanner_app"
REFRESHER = "progress_refresher"
READER = "progress_reader"
DOCTOR = "scanner_doctor"
IAM_ROLES = (APPLICATION, REFRESHER, READER, DOCTOR)
