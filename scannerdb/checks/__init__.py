"""What `preflight` and `accept` have in common: questions to AWS, their answers, and the table of them."""
