"""The REST service of VMM: the spawner, the agents and the people each through their own door."""
