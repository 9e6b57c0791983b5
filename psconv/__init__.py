"""pSConv on FPGAs: from a quantised network to checked RTL."""
