"""Is what was computed right? Situations, probes, the gate, and checks of timed calls."""
