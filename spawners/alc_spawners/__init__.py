"""What runs inside the Hub: the spawner that asks VMM for a machine, its form, and the people who may log in."""
