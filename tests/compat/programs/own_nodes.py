"""A kind of node and a handle of this program's own, and servers found by name."""

import os
import threading

from absl import app
from absl import flags
import courier
import launchpad as lp
from launchpad import address as lp_address
from launchpad.launch import worker_manager
from launchpad.nodes import base
from launchpad.nodes.courier import courier_utils
from launchpad.nodes.python import node as python

FLAGS = flags.FLAGS
flags.DEFINE_string('server_name', None, 'Name of a server.', required=True)


class StoreHandle(base.Handle):
  """Becomes a client of the store."""

  def __init__(self, address):
    self._address = address

  def dereference(self):
    return courier.Client(self._address.resolve(), call_timeout=30)


class StoreNode(python.PyNode):
  """Serves a dictionary, from a server that it makes itself."""

  def __init__(self, values):
    super().__init__(self.run)
    self._values = values
    self._address = lp_address.Address('store')
    self.allocate_address(self._address)

  def create_handle(self):
    return self._track_handle(StoreHandle(self._address))

  def run(self):
    server = courier.Server(
        port=lp_address.get_port_from_address(self._address.resolve()))
    server.Bind('get', self._values.get)
    server.Start()
    worker_manager.wait_for_stop()
    server.Stop()
    server.Join()

  @staticmethod
  def to_executables(nodes, label, launch_context):
    return python.PyNode.to_executables(nodes, label, launch_context)


class Greeter(lp.CourierNode):
  """A kind of Courier node that does something before it serves."""

  def __init__(self, *args):
    super().__init__(*args)
    self._greeted = False

  def run(self):
    print('greetings', flush=True)
    super().run()


class Typed(python.PyNode[base.Handle, None]):
  """Parametrized, as the original's node types can be."""


class Slow:
  """Starts its server itself, under two names."""

  def __init__(self, name):
    self._name = name

  def where(self):
    return self._name

  def set_courier_server(self, server):
    self._server = server

  def run(self):
    by_name = courier_utils.make_courier_server(self, self._name)
    by_name.Start()
    self._server.Start()
    lp.wait_for_stop()
    by_name.Stop()


def ask(store, slow, name):
  print(f'store {store.get("a")} {store.get("b")}', flush=True)
  print(f'slow {slow.where()}', flush=True)
  print(f'by name {courier.Client(name).where() == name}', flush=True)
  lp.stop()


def main(_):
  program = lp.Program('own_nodes')
  store = program.add_node(StoreNode({'a': 1}), label='store')
  slow = program.add_node(Greeter(Slow, FLAGS.server_name), label='slow')
  program.add_node(Typed(ask, store, slow, FLAGS.server_name), label='ask')
  lp.launch(program)


if __name__ == '__main__':
  app.run(main)
