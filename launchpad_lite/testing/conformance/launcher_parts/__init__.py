"""The launcher suite in parts; `conformance.launcher` puts them together."""
