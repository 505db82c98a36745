"""How long programs of trivial nodes take to come up and to stop, beside two peers.

    python -m benchmarks.launch            # from the root of a clone; see benchmarks/README.md

Forked nodes and spawned processes import this file again, as multiprocessing does, so it holds
nothing that costs them time: the measuring is in `launch_measure.py`.
"""

if __name__ == "__main__":
    from benchmarks.launch_measure import main

    main()
