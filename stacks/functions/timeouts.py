"""Numbers that a resource and its alarm both need."""

MIGRATE_TIMEOUT_S = 900  # the most that Lambda allows
REFRESH_TIMEOUT_S = 300
STATUS_TIMEOUT_S = 10
DOCTOR_TIMEOUT_S = 60

# Of the database's connections, those that the proxy may open. The rest is for `migrate`, `doctor`, the bastion and RDS
# itself, which connect directly.
PROXY_CONNECTIONS_PERCENT = 80
