"""The command line `twinear`: one module for each family of commands."""
