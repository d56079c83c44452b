"""The Lambda functions, and what invokes them."""
