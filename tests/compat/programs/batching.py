"""A method that is wrapped in the constructor, called from several nodes at a time."""

import datetime

from absl import app
from absl import flags
import launchpad as lp
import numpy as np

FLAGS = flags.FLAGS
BATCH_SIZE = 4


class Server:

  def __init__(self, batch_size):
    self._sizes = []
    self.compute = lp.batched_handler(
        batch_size=batch_size, timeout=datetime.timedelta(seconds=20))(
            self.compute)

  def compute(self, values, name):
    self._sizes.append(len(name))
    return {'double': 2 * values, 'name': [n + '!' for n in name]}

  def sizes(self):
    return self._sizes


class Client:

  def __init__(self, number, server):
    self._number = number
    self._server = server

  def run(self):
    result = self._server.compute(np.full(3, self._number), name=f'client {self._number}')
    assert result['double'].tolist() == [2 * self._number] * 3, result
    assert result['name'] == f'client {self._number}!', result
    print(f'{result["name"]} in a batch of {self._server.sizes()}', flush=True)


def main(_):
  program = lp.Program('batching')
  server = program.add_node(
      lp.CourierNode(Server, BATCH_SIZE, courier_kwargs={'thread_pool_size': 1}),
      label='server')
  with program.group('client'):
    for i in range(BATCH_SIZE):
      program.add_node(lp.CourierNode(Client, i, server))
  manager = lp.launch(program)
  manager.wait(['client'])
  manager.stop_and_wait()


if __name__ == '__main__':
  app.run(main)
