"""One person's data service on one machine: `python -m jupyter_alc.dms.daemon`, its order on standard input.

It owns the cache and what is unsent, mounts the data folder, and answers on a Unix socket that admits only its user.
"""
