"""How is a kernel kept from hurting the run? The parent's side of measuring processes."""
