"""`scannerdb logs` and `scannerdb invoke`: the functions of an environment."""
