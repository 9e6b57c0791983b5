"""What the application's parts share: places of files, work that is left out when it is done, processes, tables, plots."""
