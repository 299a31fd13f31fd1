"""DMS: an archive's datasets as files here: only the bytes that are read travel, and what is written is not lost."""
