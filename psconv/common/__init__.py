"""What the application shares: places of files, work left out when it is done, processes, tables, plots."""
