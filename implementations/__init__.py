"""What is measured: attention implementations, their interface, catalogue and oracle."""
