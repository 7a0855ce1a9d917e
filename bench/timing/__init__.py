"""How is one call read? The clock, inputs, the prepared call, and what stands beside the time."""
