"""Reviews a Terraform plan before it is applied: what it would do to the database, its data and its alarms."""
