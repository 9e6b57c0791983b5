"""The engine's C++, header by header: small programs (*.cpp) that run one of them, compared with numpy."""
