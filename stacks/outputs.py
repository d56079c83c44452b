"""The outputs of a stack: their names, which `scannerdb` reads from the state, and what each is for."""

DESCRIPTIONS = {
    "api_url": "Address of the status API; callers sign their requests with IAM.",
    "database_endpoint": "Host name of the database, for connections past the proxy.",
    "database_port": "Port of the database.",
    "proxy_endpoint": "Host name of RDS Proxy, to which the scanner connects.",
    "proxy_port": "Port of RDS Proxy.",
    "proxy_security_group_id": "Security group of RDS Proxy; a rule of a client's group names it as its target.",
    "vpc_id": "VPC of the database.",
    "route_table_ids": "Route tables of the private subnets, separated by commas.",
    "application_user_arn": "What rds-db:connect of the scanner's role names to log in as scanner_app.",
    "bastion_instance_id": "EC2 instance of the bastion, the target of a Session Manager session.",
    "tunnel_command": "Opens a tunnel to RDS Proxy on local port 5432; `scannerdb tunnel` does the same and more.",
    "migrate_function_name": "Lambda function that applies the migrations.",
    "refresh_function_name": "Lambda function that refreshes, verifies and rebuilds progress.",
    "status_function_name": "Lambda function behind the status API.",
    "doctor_function_name": "Lambda function that examines the database.",
    "page_topic_arn": "SNS topic of the alarms that page.",
    "ticket_topic_arn": "SNS topic of the alarms that open a ticket.",
    "dashboard_url": "CloudWatch dashboard of this environment.",
    "access_rules": "Commands for the owner of the database's security group: one for each client that must get in.",
    "release_sha256": "SHA-256 of the migrations release that was deployed last.",
}
