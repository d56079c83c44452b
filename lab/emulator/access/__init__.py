"""Whether AWS would allow a call: IAM policies, the network between caller and service, logins to databases.

`policy` reads documents; `account` holds what a decision depends on; `decisions`, `network` and `logins` decide;
`services` lists what AWS services do in a deployment; `record` and `layer` apply all of it to the running emulator.
Not checked: callers of the API, service control policies, permission boundaries, network ACLs.
"""
