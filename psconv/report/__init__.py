"""The report of a run: collected, checked against a schema, shown in a terminal, as Markdown and as a page."""
