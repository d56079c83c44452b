"""The game day: plays real faults in a whole system and checks that alarms, doctor and runbook find and end them."""
