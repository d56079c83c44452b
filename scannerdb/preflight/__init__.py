"""`scannerdb preflight ENV`: asks AWS, before a deploy, what would stop it. One file a topic."""
