"""Conformance suites: what each implementation of an interface owes, ours or a third party's."""
