"""The command `lp-launch`: launches programs, and looks after the runs of this user."""
