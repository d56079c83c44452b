"""What two sides of the system must agree on, each fact once: what ships in the functions and what deploys them.

Standard library only, because every function, the stacks and the command line import it.
"""
