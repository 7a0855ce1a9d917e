"""Is what was computed right? The parts that the gate and the timed calls share."""
