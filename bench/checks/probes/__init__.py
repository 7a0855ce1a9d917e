"""How is each kind of question put to a kernel? One procedure of the gate a file."""
