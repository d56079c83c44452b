"""`python -m scannerdb`."""

from scannerdb.main import command

command()
