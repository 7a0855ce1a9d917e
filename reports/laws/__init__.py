"""What is a claim? The grammar of laws, and the monomials that it makes."""
