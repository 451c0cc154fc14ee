"""What the demo, the benchmark and the system tests share: switches, guests, raw clients, captures.

Standard library only, so that the demo runs on whatever Python 3.11 a Debian 12 has.
"""
