"""The fault run: storms over two replicas, a store and a simulated Bandwidth.

`replica` is what runs in each process, `fleet` kills and restarts, `weather` troubles what goes to Bandwidth
and comes from there, `lives` are the calls, `verdict` says what is left of it all, `storm` puts it together.
"""
