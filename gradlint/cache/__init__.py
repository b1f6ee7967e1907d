"""Results of earlier runs, each with everything that it was made from. Imports neither torch nor anything heavy.

A result holds as long as every observation that the run made is what would be observed now. Nothing is dated: a row of
the store is a statement ("with these inputs, this comes out") that is true for ever, or not believed at all.
"""
