"""`scannerdb cost`: what the resources of an environment cost a month."""
