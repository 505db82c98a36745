"""Everything that stops: handlers, an exception sent to another thread, the program's stopper."""

import contextlib
import ctypes
import os
import sys
import threading
import time

from absl import app
from absl import flags
import launchpad as lp

FLAGS = flags.FLAGS


@contextlib.contextmanager
def interrupted_by_stop(name):
  """Ends the thread that is inside with SystemExit when the program stops."""
  worker = threading.get_ident()

  def handler():
    print(f'{name} is interrupted', flush=True)
    count = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_long(worker), ctypes.py_object(SystemExit))
    assert count == 1

  lp.register_stop_handler(handler)
  yield
  lp.unregister_stop_handler(handler)


class Worker:

  def __init__(self, name, log):
    self._name = name
    self._log = log

  def run(self):
    self._log.append(self._name)
    with interrupted_by_stop(self._name):
      while True:
        time.sleep(0.01)


class Patient:
  """Asks, and saves at the end."""

  def __init__(self, log):
    self._log = log

  def run(self):
    self._log.append('patient')
    while not lp.wait_for_stop(timeout_secs=0.01):
      pass
    assert lp.stop_event().is_set()
    print('patient has finished', flush=True)


class Log:

  def __init__(self):
    self._names = []

  def append(self, name):
    self._names.append(name)

  def count(self):
    return len(self._names)


def stop_when(log, count, stopper):
  while log.count() < count:
    time.sleep(0.01)
  stopper(mark_as_completed=True)
  try:
    lp.wait_for_stop()
  finally:
    print('stopper has seen the stop', flush=True)
  sys.exit(1)  # While the program stops, this is no failure.


def main(_):
  program = lp.Program('stopping')
  log = program.add_node(lp.CourierNode(Log), label='log')
  with program.group('worker'):
    for i in range(2):
      program.add_node(lp.PyClassNode(Worker, f'worker {i}', log))
  program.add_node(lp.PyClassNode(Patient, log), label='patient')
  stopper = lp.make_program_stopper(FLAGS.lp_launch_type)
  program.add_node(lp.PyNode(stop_when, log, 3, stopper), label='stopper')
  lp.register_stop_handler(lambda: print('launcher is told', flush=True))
  lp.launch(program, launch_type=FLAGS.lp_launch_type)


if __name__ == '__main__':
  app.run(main)
