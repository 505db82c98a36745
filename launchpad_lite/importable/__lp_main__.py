"""Stands for the program in processes that its nodes spawn: with `multiprocessing`, or joblib.

Such a process has imported the program's file as its own `__main__`, and is then sent what refers
to the name that workers know the file by. `source` puts this directory on the path.
"""

import sys

sys.modules[__name__] = sys.modules["__main__"]
