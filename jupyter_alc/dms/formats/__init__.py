"""What a file's format tells about the bytes that are read next: for planning alone (F1 to F3). Pure."""
