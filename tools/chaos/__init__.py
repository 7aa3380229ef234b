"""What tools/chaos.py is made of: a plan of faults from a seed, the people who remember, and the checker."""
