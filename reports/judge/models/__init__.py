"""What may explain the cells: the claimed law, a jump, a term that outgrows it."""
