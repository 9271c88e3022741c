"""What a call may do: one small function for each thing that can happen to it, by what it is about."""
