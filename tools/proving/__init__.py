"""What tools/prove.py is made of: a world of its own, people in it, those who watch, and what can go wrong."""
