"""Our nodes on a Ray cluster beside plain actors of Ray, on the same cluster.

    python -m benchmarks.ray              # from the root of a clone; see benchmarks/README.md

Nodes import this file again, so it holds nothing that costs them time: the measuring is in
`ray_measure.py`.
"""

if __name__ == "__main__":
    from benchmarks.ray_measure import main

    main()
