"""The files that benchmark programs write, one format a module."""
