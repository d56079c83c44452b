"""How clients and engineers reach the database: RDS Proxy and the bastion."""
