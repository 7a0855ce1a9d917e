"""How it is measured: cases, the correctness gate, instruments, workers and records."""
