"""A top: the units of a network and the streams between them, their C++, their exact cycles, packets of weights."""
