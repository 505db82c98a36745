"""The launcher of Ray clusters."""
