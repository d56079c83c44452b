"""The alarms, one record each. A new alarm is a record in a group here and a section of the runbook.

`stacks/alarms/` completes the records with the facts of a deployment, `stacks/monitoring/` makes resources and graphs
of them, and `scannerdb doctor` reads which checks answer an alarm. Where AWS recommends an alarm, its statistic and
periods are AWS's:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html

`status` imports none of this, because every import lengthens its cold start.
"""

from handlers.contract.alarms.cluster import CLUSTER
from handlers.contract.alarms.functions import FUNCTIONS
from handlers.contract.alarms.instance import INSTANCE
from handlers.contract.alarms.messages import MESSAGES, NOTICES, OUTAGE
from handlers.contract.alarms.proxy import PROXY
from handlers.contract.alarms.refreshes import REFRESHES, SCHEDULE
from handlers.contract.alarms.sessions import SESSIONS, STATEMENTS
from handlers.contract.alarms.status_api import STATUS_API
from handlers.contract.alarms.storage import STORAGE

# In the order in which the on-call thinks: users first.
RECORDS = (
    *STATUS_API,
    *REFRESHES,
    *SCHEDULE,
    *FUNCTIONS,
    *SESSIONS,
    *STATEMENTS,
    *PROXY,
    *INSTANCE,
    *STORAGE,
    *CLUSTER,
    *MESSAGES,
)

# Everything that sends a message, by its name.
TOLD = {told.name: told for told in (OUTAGE, *RECORDS, *NOTICES)}
