"""The game day: real faults in a whole system, and whether its alarms, its doctor and its runbook tell and end them."""
