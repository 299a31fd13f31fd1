"""The mount: the one door to pyfuse3. One process has one mount, ever; datasets are its top-level folders."""
