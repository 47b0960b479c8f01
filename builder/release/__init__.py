"""The release directory: its statements, how it is made, loaded and verified."""
