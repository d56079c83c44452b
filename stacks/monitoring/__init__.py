"""Alarms, dashboard, saved queries and topics as resources."""
