"""`scannerdb preflight -e ENV`: asks AWS, before a deploy, what would stop it. One file a topic."""
