"""The chain of time limits, in seconds. An inner limit is shorter than the outer one, so the error names the cause."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FunctionLimits:
    """The limits of one function.

    Attributes:
        client_s: the client gives up, because the server or the network is silent. Includes connecting.
        function_s: Lambda ends the function, without a reason.

    """

    client_s: float
    function_s: int

    @property
    def reserve_s(self) -> float:
        """What is left of the function's time to report when the client has given up."""
        return self.function_s - self.client_s


@dataclass(frozen=True, kw_only=True)
class StatementLimits(FunctionLimits):
    """The limits of a function whose role has a `statement_timeout` (migrations/roles.sql): PostgreSQL cancels first.

    Attributes:
        statement_s: that timeout.

    """

    statement_s: int


# 900 s is the most that Lambda allows. At `client_s` the runner leaves a build to the server, which has no limit.
MIGRATE = FunctionLimits(client_s=870, function_s=900)
REFRESH = StatementLimits(statement_s=280, client_s=285, function_s=300)
# `status` answers within `ANSWER_S`, also while the database is away or silent. What is left of the function's time is
# for a cold start.
STATUS = StatementLimits(statement_s=2, client_s=2.8, function_s=10)
ANSWER_S = 3
# All questions of one request to Step Functions together.
EXECUTIONS_S = 1
DOCTOR = StatementLimits(statement_s=20, client_s=23, function_s=60)
# The `lock_timeout` of the doctor's role: it waits for no lock that writers would then wait behind.
DOCTOR_LOCK_S = 2

# RDS Proxy gives up waiting for a connection to the database, then the client gives up connecting, then a request.
PROXY_BORROW_S = 2
CONNECT_S = 2.5

# A new target of RDS Proxy is UNAVAILABLE (PENDING_PROXY_CAPACITY) for 5 to 15 minutes, as users of it report.
# `refresh` waits for it in several invocations: each ends before the alarm `refresh-slow` would ring.
PROXY_START_S = 900
PROXY_PATIENCE_S = 180
PROXY_WAITS = math.ceil(PROXY_START_S / PROXY_PATIENCE_S)

# A new role's policy reaches every service within seconds, as does the rule of a new security group; `migrate` tries
# for so long to read its secret and its release, and to connect for the first time.
FIRST_USE_S = 60

# The schedule gives an event up that waited longer: the next refresh does its work too, and comes at the shortest
# interval after this time.
OLDEST_EVENT_S = 60

# Progress is stale once this many refreshes in a row have not come.
STALE_AFTER_INTERVALS = 3
