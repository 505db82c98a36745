"""What a replay buffer costs: sampling, writing, updating; beside dm-reverb.

python -m benchmarks.replay               # from the root of a clone; see benchmarks/README.md
python -m benchmarks.replay --reverb_python ~/reverb/bin/python
python -m benchmarks.replay --only sample write --rounds 3

The processes that are measured do not import this file.
"""

if __name__ == "__main__":
    import os

    # For NumPy in the processes of every case.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")

    from benchmarks.replay_cases.main import main

    main()
