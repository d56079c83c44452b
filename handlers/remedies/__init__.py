"""Ends what the doctor finds: sessions, and by the statements of its findings, as the owner of the tables.

The command line and the function `migrate` share it, so that a command works with a connection and without one.
"""
