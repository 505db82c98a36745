"""Tests of programs, as users of the original write them."""

import threading

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import launchpad as lp
from launchpad.launch import serialization
from launchpad.launch.test_multi_processing import launch as test_mp
from launchpad.launch.test_multi_threading import address_builder
from launchpad.launch.test_multi_threading import launch as test_mt

FLAGS = flags.FLAGS


class Adder:

  def __init__(self, amount=1):
    self._amount = amount

  def add(self, value):
    return value + self._amount


class Caller:

  def __init__(self, adder):
    self._adder = adder

  def run(self):
    assert self._adder.add(41) == 42


class Failing:

  def run(self):
    raise ValueError('this node fails on purpose')


def make_program():
  program = lp.Program('test')
  adder = program.add_node(lp.CourierNode(Adder), label='adder')
  with program.group('caller'):
    for _ in range(2):
      program.add_node(lp.CourierNode(Caller, adder))
  return program, adder


class ProgramTest(parameterized.TestCase):

  @parameterized.parameters('test_mt', 'test_mp')
  def test_with_a_launch_type(self, launch_type):
    program, adder = make_program()
    manager = lp.launch(
        program, launch_type=launch_type, test_case=self,
        serialize_py_nodes=False)
    manager.wait(['caller'])
    self.assertEqual(adder.dereference().add(1), 2)

  def test_launchers_themselves(self):
    for launch in (test_mt.launch, test_mp.launch):
      program, _ = make_program()
      manager = launch(program, test_case=self)
      manager.wait(labels_to_wait_for=['caller'])

  def test_a_failure_is_raised_and_ends_no_process(self):
    program = lp.Program('failing')
    program.add_node(lp.CourierNode(Failing), label='failing')
    manager = lp.launch(program, launch_type='test_mt')
    with self.assertRaisesRegex(Exception, 'fails on purpose'):
      manager.wait()

  def test_a_node_in_a_plain_thread(self):
    node = lp.CourierNode(Adder, 10)
    node.disable_run()
    handle = node.create_handle()
    address_builder.bind_addresses([node])
    threading.Thread(target=node.run, daemon=True).start()
    client = handle.dereference()
    self.assertEqual(client.add(1), 11)
    self.assertEqual(client.futures.add(2).result(), 12)

  def test_an_unbound_address(self):
    with self.assertRaises(RuntimeError):
      lp.Address().resolve()

  def test_what_cannot_be_sent(self):
    node = lp.PyNode(print, threading.Lock())
    with self.assertRaisesRegex(RuntimeError, 'lock'):
      serialization.check_nodes_are_serializable('label', [node])

  def test_labels(self):
    program = lp.Program('labels')
    with self.assertRaises(ValueError):
      program.add_node(lp.PyNode(print))
    with program.group('a'):
      with self.assertRaises(ValueError):
        with program.group('b'):
          pass


if __name__ == '__main__':
  absltest.main()
