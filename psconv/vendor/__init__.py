"""HLS tools that users install themselves: Vitis HLS with Vivado, and PandA Bambu, on the same C++.

The files of their projects are made of the templates in hls/vitis and hls/bambu.
"""
