"""How one call is read: the clock, inputs, the prepared call, what stands beside the time."""
