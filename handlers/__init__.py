"""What runs in Lambda: `migrate`, `refresh`, `status` and `doctor`, and the code behind them."""
