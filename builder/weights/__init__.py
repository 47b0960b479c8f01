"""The weights of a model as a disk that cannot change: EROFS with dm-verity, made and checked in one pass."""
