"""The numeric model: supports, number formats, networks, golden model, packing, counts.

Data goes one way: configuration -> support and packed weights -> golden model and C++ header.
"""
