"""`scannerdb status`: how far the jobs are."""
