"""What a call between two processes costs: sync, futures, arrays, batches; beside five peers.

    python -m benchmarks.rpc               # from the root of a clone; see benchmarks/README.md
    python -m benchmarks.rpc --ray_python ~/ray/bin/python
    python -m benchmarks.rpc --only sync futures --rounds 3
    python -m benchmarks.rpc --soak 10_000_000

Processes of the peers import this file again, so it holds nothing that costs them time.
"""

if __name__ == "__main__":
    import os

    # Before NumPy is imported, and for the processes of every case.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

    from benchmarks.calls.main import main

    main()
