"""`python -m scannerdb`: the code of the folder that it is started in, which Python puts first."""

from scannerdb.console import command

command()
