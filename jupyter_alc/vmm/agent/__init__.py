"""The agent: the machine's main program. It calls out only, prepares for one person, drains again."""
