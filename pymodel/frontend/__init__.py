"""Networks of other programs: read into one neutral graph of operations, then lowered to a topology and its weights."""
