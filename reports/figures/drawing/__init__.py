"""What every figure shares: its size and look, its panels, and the cells that it shows."""
