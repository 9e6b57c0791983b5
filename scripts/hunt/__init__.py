"""`psconv hunt`: standing campaigns of random inputs, each with a seed, each compared with something independent."""
