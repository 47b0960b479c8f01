"""The closure of an image: which files can be reached by what it starts; all others are dropped from it.

It runs inside a build, as a finalize script of mkosi on the unpacked tree, where Python has its standard library and
nothing else. ``builder.definition.render`` writes the modules of ``builder.closure.bundle`` into the rendered tree, so
stock mkosi prunes as bedplate does. See docs/explanation/pruning.md.
"""
