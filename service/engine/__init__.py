"""The shell: carries events to the state machine and its decisions to the store and to Bandwidth."""
