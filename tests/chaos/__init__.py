"""The storm: calls over two replicas, a store and a simulated Bandwidth, while things go wrong.

`storm` plays turns, each on a fresh `site`, in one of `weathers`, with the lives of `scenarios`. `evidence`
gathers what there is to see, and `eyes` judge it. docs/chaos.md has a map of the other modules.
"""
