"""Simulated attacks on the proof of life, and simulated people to tell them from.

Every clip answers to what it is asked, so that a check-in can be played to its end. They are made
from pictures: what they show is how the checks stand to these simulations, not to ISO/IEC 30107-3.
"""
