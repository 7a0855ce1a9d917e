"""What do benchmark programs write? One format a module."""
