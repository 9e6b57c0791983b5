"""HLS tools that users install themselves: Vitis HLS with Vivado, and PandA Bambu, on the same C++."""
