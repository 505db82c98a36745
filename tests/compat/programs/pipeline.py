"""Constructors of every kind, groups that are changed, handles with settings, a cycle.

Written for google-deepmind/launchpad, like everything in this directory.
"""

import collections
import dataclasses
import functools
import os
import threading

from absl import app
from absl import flags
from absl import logging
import courier
import launchpad as lp
from launchpad import address as lp_address
from launchpad import context as lp_context
from launchpad import program as lp_program
from launchpad.launch import worker_manager
from launchpad.nodes import base
from launchpad.nodes import dereference
from launchpad.nodes.courier import node as courier_node
from launchpad.nodes.python import node as python_node
from launchpad.nodes.python.local_multi_processing import PythonProcess

FLAGS = flags.FLAGS
flags.DEFINE_integer('num_sources', 3, 'How many sources there are.')
flags.DEFINE_string('greeting', 'good evening', 'What the sink says.')
FLAGS.lp_termination_notice_secs = 20

Params = collections.namedtuple('Params', ['scale', 'offsets'])


@dataclasses.dataclass
class Config:
  start: int
  step: int = 1


class Source:
  """Counts, and knows a peer."""

  def __init__(self, config, params, peer=None):
    self._value = config.start
    self._step = config.step
    self._params = params
    self._peer = peer

  def get(self):
    self._value += self._step
    return self._value * self._params.scale + sum(self._params.offsets)

  def peek(self):
    return self._peer.get()

  def fail(self):
    raise KeyError('no such key')


class Factory:
  """Its method makes sources."""

  def __init__(self, step):
    self._step = step

  def make(self, start):
    return Source(Config(start, self._step), Params(1, (0,)))


def make_source(start):
  return Source(Config(start), Params(10, (1, 2)))


class Sink(object):
  """Calls everybody."""

  def __init__(self, sources, others):
    self._sources = sources
    self._others = others

  def run(self):
    # Reads an attribute of a client, and calls nothing.
    _ = self._sources[0].whatever
    print(f'{FLAGS.greeting}, {os.environ.get("SINK_SIZE")}', flush=True)
    futures = [source.futures.get() for source in self._sources]
    print(f'sum {sum(future.result() for future in futures)}', flush=True)
    print(f'others {[o.get() for _, o in sorted(self._others.items())]}', flush=True)
    print(f'peer {self._sources[0].peek()}', flush=True)
    try:
      self._sources[0].fail()
    except courier.python.client.StatusNotOk as e:
      print(f'status {"no such key" in str(e)} {e.code is not None}', flush=True)
    try:
      self._sources[0].nothing_of_the_kind()
    except Exception as e:  # pylint: disable=broad-except
      print(f'missing {"not found" in str(e)}', flush=True)
    print(f'methods {courier.list_methods(self._sources[0])}', flush=True)
    context = lp_context.get_context()
    print(f'type {context.launch_type.value}', flush=True)
    assert not worker_manager.get_worker_manager().stop_event().is_set()
    context.program_stopper()


def never_runs():
  raise AssertionError('disable_run() was called.')


class Disabled:

  def run(self):
    never_runs()


def make_program(num_sources):
  program = lp.Program('pipeline')
  with program.group('source'):
    nodes = [
        lp.CourierNode(Source, Config(i), params=Params(2, (i,)))
        for i in range(num_sources)
    ]
    handles = [program.add_node(node) for node in nodes]
  # A cycle: the first one's peer is the last one.
  nodes[0].configure(Config(0), params=Params(2, (0,)), peer=handles[-1])
  handles[1].set_client_kwargs(call_timeout=30, wait_for_ready=True)

  others = {}
  with program.group('other'):
    others['method'] = program.add_node(lp.CourierNode(Factory(5).make, 100))
    others['partial'] = program.add_node(
        lp.CourierNode(functools.partial(make_source, start=1)))
    others['function'] = program.add_node(
        courier_node.CourierNode(make_source, dereference.Deferred(int, '7')))

  program.add_node(
      lp.CourierNode(Sink, handles, others,
                     courier_kwargs={'thread_pool_size': 2}), label='sink')

  with program.group('disabled'):
    program.add_node(lp.PyClassNode(Disabled))
  (disabled,) = program.groups['disabled']
  disabled.disable_run()

  program.add_node(lp.PyNode(never_runs), label='removed')
  del program.groups['removed']

  assert isinstance(program, lp_program.Program)
  assert isinstance(disabled, python_node.PyClassNode)
  assert isinstance(handles[0], base.Handle)
  assert nodes[0].addresses and isinstance(nodes[0].addresses[0], lp_address.Address)
  assert len(program.get_all_nodes()) == num_sources + 5
  return program


def main(argv):
  del argv
  logging.info('Launching.')
  program = make_program(FLAGS.num_sources)
  program_two = lp.Program('second')
  manager = lp.launch(
      [program, program_two],
      launch_type=FLAGS.lp_launch_type,
      xm_resources={'source': None},
      local_resources={
          'sink': PythonProcess(env={'SINK_SIZE': 3}, args={'greeting': 'hello'}),
          'source': None,
          'not_in_every_program': PythonProcess(),
      },
      terminal='current_terminal')
  manager.wait()
  assert threading.active_count() < 50
  print('launched and ended', flush=True)


if __name__ == '__main__':
  app.run(main)
