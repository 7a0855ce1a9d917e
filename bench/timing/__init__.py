"""How is one call read? The clock, inputs, the prepared call, what stands beside the time."""
