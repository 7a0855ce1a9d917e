"""Is a timed answer right? Looked at once a cell, at its own size."""
