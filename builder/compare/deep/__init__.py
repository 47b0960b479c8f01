"""The difference of two contents of one file, by what the file is. Pure: bytes in, differences out."""
