"""Helpers that several subcommands share. No module in this package is a subcommand."""
