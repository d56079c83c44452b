"""What runs in Lambda: `migrate`, `refresh` and `status`, and the code behind them."""
