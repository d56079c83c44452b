"""The way out of cdktf: the same code under CDK Terrain, its maintained fork, synthesises the same Terraform JSON.

`make exit-test` installs the fork into `build/exit/`, by the hashes of `requirements.lock`, and renames the imports in
a copy of the code (decision 1).
"""
