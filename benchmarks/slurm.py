"""How long programs take to come up on a SLURM cluster, and how often SLURM is asked meanwhile.

    python -m benchmarks.slurm            # from the root of a clone; see benchmarks/README.md

Nodes import this file again, so it holds nothing that costs them time: the measuring is in
`slurm_measure.py`.
"""

if __name__ == "__main__":
    from benchmarks.slurm_measure import main

    main()
