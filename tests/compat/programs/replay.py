"""Actors, a prioritized replay buffer and a learner, as in Acme's distributed agents."""

import time
from typing import Callable, Iterator, List, NamedTuple, Sequence

from absl import app
from absl import flags
from absl import logging
import launchpad as lp
from launchpad.nodes.reverb import node as reverb_node
import numpy as np
import reverb
from reverb import rate_limiters

FLAGS = flags.FLAGS
flags.DEFINE_integer('num_actors', 3, 'How many actors there are.')

PRIORITY_TABLE = 'priority_table'
STEPS_PER_ACTOR = 8
BATCH_SIZE = 6


class Transition(NamedTuple):
  observation: np.ndarray
  action: np.ndarray
  reward: np.ndarray


class Adder:
  """Adds an actor's transitions to replay."""

  def __init__(self, client: reverb.Client, priority_fns):
    self._client = client
    self._priority_fns = priority_fns

  def add(self, transition: Transition):
    self._client.insert(
        transition, {name: fn(transition) for name, fn in self._priority_fns.items()})


class Actor:
  """Acts, with the newest parameters."""

  def __init__(self, index: int, adder_factory: Callable[[reverb.Client], Adder],
               replay: reverb.Client, learner: 'Learner'):
    self._index = index
    self._adder = adder_factory(replay)
    self._learner = learner

  def run(self):
    for step in range(STEPS_PER_ACTOR):
      scale, = self._learner.get_variables(['scale'])
      number = self._index * STEPS_PER_ACTOR + step
      self._adder.add(
          Transition(
              observation=np.full(4, number, np.float32),
              action=np.int32(self._index),
              reward=np.float32(number * scale)))
    lp.wait_for_stop()


class Learner:
  """Learns from all transitions, each at least once."""

  def __init__(self, replay: reverb.Client, total: int):
    self._client = replay
    self._total = total
    self._seen = set()
    self._stale = 0

  def get_variables(self, names: Sequence[str]) -> List[np.ndarray]:
    assert names == ['scale']
    return [np.float32(2)]

  def _samples(self) -> Iterator[reverb.ReplaySample]:
    while True:
      for trajectory in self._client.sample(PRIORITY_TABLE, num_samples=BATCH_SIZE):
        yield from trajectory

  def run(self):
    for sample in self._samples():
      transition = Transition(*sample.data)
      number = int(transition.observation[0])
      self._seen.add(number)
      self._stale += transition.reward != 2 * number
      # What was seen is hardly drawn again.
      self._client.mutate_priorities(PRIORITY_TABLE, updates={sample.info.key: 1e-6})
      if len(self._seen) == self._total:
        break
    print(f'learned from {len(self._seen)} transitions, of which {self._stale} are stale',
          flush=True)
    info = self._client.server_info()[PRIORITY_TABLE]
    print(f'the table holds {info.current_size} of at most {info.max_size}', flush=True)
    lp.stop()


def make_replay_tables() -> List[reverb.Table]:
  return [
      reverb.Table(
          name=PRIORITY_TABLE,
          sampler=reverb.selectors.Prioritized(0.6),
          remover=reverb.selectors.Fifo(),
          max_size=100,
          rate_limiter=rate_limiters.MinSize(BATCH_SIZE))
  ]


def make_adder(client: reverb.Client) -> Adder:
  return Adder(client, {PRIORITY_TABLE: lambda _: 1.})


def make_program(num_actors: int) -> lp.Program:
  program = lp.Program('agent')
  with program.group('replay'):
    replay = program.add_node(lp.ReverbNode(make_replay_tables))
  with program.group('learner'):
    learner = program.add_node(
        lp.CourierNode(Learner, replay, num_actors * STEPS_PER_ACTOR))
  with program.group('actor'):
    for index in range(num_actors):
      program.add_node(lp.CourierNode(Actor, index, make_adder, replay, learner))
  (node,) = program.groups['replay']
  assert isinstance(node, reverb_node.ReverbNode)
  assert isinstance(replay, reverb_node.ReverbHandle)
  assert node.reverb_address in node.addresses
  return program


def main(_):
  started = time.time()
  lp.launch(make_program(FLAGS.num_actors), launch_type=FLAGS.lp_launch_type,
            terminal='current_terminal').wait()
  logging.info('took %f s', time.time() - started)


if __name__ == '__main__':
  app.run(main)
