"""Is the answer right? The parts that the gate and the timed calls share."""
