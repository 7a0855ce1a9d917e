"""The procedures by which the correctness gate judges an implementation, one a file."""
