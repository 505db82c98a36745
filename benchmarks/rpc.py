"""How many small calls one server answers in a second: batched, unbatched, and beside two peers.

    python -m benchmarks.rpc               # from the root of a clone; see benchmarks/README.md
    python -m benchmarks.rpc --ray_python ~/ray/bin/python

Node processes import this file again, so it holds nothing that costs them time.
"""

if __name__ == "__main__":
    import os

    # Before NumPy is imported, and for the processes of every case.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

    from benchmarks.rpc_measure import main

    main()
