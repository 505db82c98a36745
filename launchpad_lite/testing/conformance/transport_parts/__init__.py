"""The parts of the transport suite, each about one thing that a transport owes."""
