"""`scannerdb tunnel`: a way into the network of an environment, through its bastion."""
