"""The parent's side of measuring processes: what keeps a kernel from hurting the run."""
