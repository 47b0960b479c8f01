"""The toolchain tree, calling mkosi in it, and collecting what it made."""
