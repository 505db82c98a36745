# `demo` and `test` are the README's two commands, word for word (tests/unit/test_readme.py).
.PHONY: install lint types test test-slurm test-ray demo ci

install:
	python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'

lint:
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types:
	.venv/bin/mypy
	.venv/bin/pyright --pythonpath .venv/bin/python

test:
	python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest -n 2

# Boots a cluster on this machine; needs root and SLURM (tests/slurm/lab.py).
test-slurm:
	.venv/bin/python -m pytest -n 2 --dist loadfile -m slurm tests/slurm

# Starts a cluster of three raylets on this machine, and one of three machines in network namespaces;
# the latter needs root and iproute2 (tests/ray/lab.py).
test-ray:
	.venv/bin/pip install -q -e '.[ray]' && .venv/bin/python -m pytest -m ray tests/ray

demo:
	python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/lp-launch examples/mapreduce.py --launcher=process

ci:
	.ci/run
