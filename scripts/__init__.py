"""The `psconv` command line: runs the steps of the flow and writes the reports."""
