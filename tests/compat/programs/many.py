"""A hundred nodes in a ring; each calls the next one."""

from absl import app
import launchpad as lp


class Member:

  def __init__(self, number):
    self._number = number
    self._next = None
    self._total = None

  def connect(self, following, total):
    self._next, self._total = following, total

  def pass_on(self, count):
    if count == self._total:
      return count
    return self._next.pass_on(count + 1)

  def number(self):
    return self._number


class Ring:

  def __init__(self, members):
    self._members = members

  def run(self):
    size = len(self._members)
    numbers = [m.futures.number() for m in self._members]
    print(f'sum {sum(f.result() for f in numbers)}', flush=True)
    for member, following in zip(self._members, self._members[1:] + self._members[:1]):
      member.connect(following, 2 * size)
    print(f'passed {self._members[0].pass_on(0)}', flush=True)
    lp.stop()


def main(_):
  program = lp.Program('ring')
  with program.group('member'):
    members = [program.add_node(lp.CourierNode(Member, i)) for i in range(100)]
  program.add_node(lp.PyClassNode(Ring, members), label='ring')
  lp.launch(program, launch_type=lp.LaunchType.LOCAL_MULTI_THREADING)


if __name__ == '__main__':
  app.run(main)
