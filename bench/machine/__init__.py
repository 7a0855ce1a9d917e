"""What does the system tell? Counters, limits, memory, energy and the GPU driver."""
