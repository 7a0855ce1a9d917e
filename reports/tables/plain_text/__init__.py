"""Tables that are text: which lines and characters divide it, and how numbers are written."""
