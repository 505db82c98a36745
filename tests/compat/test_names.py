"""The table of names: complete, documented, and every name the very object that it should be."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from launchpad_lite.compat import names

DOCS = Path(__file__).resolve().parents[2] / "docs" / "coming_from_launchpad.md"

# What `launchpad/__init__.py` of google-deepmind/launchpad exports, in all its versions.
ORIGINAL = {
    *("AbstractAddressBuilder", "Address", "CourierClient", "CourierHandle", "CourierNode"),
    *("DockerConfig", "LAUNCH_TYPE", "LaunchType", "MultiThreadingColocation", "Program"),
    *("PyClassNode", "PyNode", "batched_handler"),
    *("ReverbNode", "SimpleLocalAddressBuilder", "get_port_from_address", "is_local_launch"),
    *("is_local_launch_or_test", "launch", "make_program", "make_program_stopper"),
    *("register_stop_handler", "stop", "stop_event", "unregister_stop_handler", "wait_for_stop"),
}


def run_python(code: str, path: Path | None = None) -> str:
    """The output of a new interpreter: what is installed there stays there."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def rows(title: str) -> set[str]:
    """What the first column of a table of the page names."""
    section = DOCS.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def test_every_public_name_of_the_original_is_there_or_dropped_on_purpose() -> None:
    assert {*names.MODULES["launchpad"], *names.DROPPED} >= ORIGINAL


def test_the_page_tells_of_every_name() -> None:
    dropped = {name for name in names.DROPPED if "." not in name}
    ours = {*names.MODULES["launchpad"], *dropped} - {"__version__"}
    assert rows("Names in `launchpad`") == ours


def test_the_page_tells_of_every_module_with_names() -> None:
    aliases = {"launchpad.launch.worker_manager_migration", "launchpad.launch.worker_manager_v2"}
    modules = {name for name, table in names.MODULES.items() if table} - aliases - {"launchpad"}
    modules |= {name for name in names.DROPPED if "." in name}
    assert rows("Names in its submodules") | rows("Reverb") == modules


def test_the_page_says_gone_of_what_is_not_there() -> None:
    text = DOCS.read_text(encoding="utf-8")
    packages = {name.rpartition(".")[0] for name in names.DROPPED}
    for name in {*names.DROPPED} - packages:
        assert re.search(rf"^\| `{name}` \| (gone|to come)", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("module", "name", "place"),
    [
        (module, name, place)
        for module, table in names.MODULES.items()
        for name, place in table.items()
    ],
)
def test_every_name_stands_for_something(module: str, name: str, place: str) -> None:
    home, _, attribute = place.partition(":")
    assert hasattr(importlib.import_module(home), attribute), f"{module}.{name}"


def test_every_name_is_the_very_object() -> None:
    code = """
        import importlib
        from launchpad_lite import compat
        from launchpad_lite.compat import names

        compat.install(reverb=True)
        compat.install(reverb=True)  # a second time changes nothing
        for module, table in names.MODULES.items():
            for name, place in table.items():
                home, _, attribute = place.partition(":")
                theirs = getattr(importlib.import_module(module), name)
                assert theirs is getattr(importlib.import_module(home), attribute), (module, name)
                assert name in dir(importlib.import_module(module))
        print("all")
    """
    assert run_python(code) == "all\n"


def test_names_are_found_in_every_way_of_importing() -> None:
    code = """
        from launchpad_lite import compat
        compat.install()

        import launchpad as lp
        from launchpad.launch import worker_manager
        import launchpad.nodes.courier.node as node
        import courier
        from launchpad import *

        assert lp.launch is launch, "a function, though there is a package of that name"
        assert lp.nodes.courier.node is node
        assert lp.context.LaunchType is LaunchType
        assert courier.python.client.Client is courier.Client is lp.CourierClient
        assert worker_manager.wait_for_stop is lp.wait_for_stop
        import launchpad_lite
        assert lp.submit is launchpad_lite.submit, "what is new is there as well"
        print("found")
    """
    assert run_python(code) == "found\n"


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = """
        import sys
        from launchpad_lite import compat
        compat.install()
        import launchpad.launch.signal_handling
        print("launchpad_lite.compat.signal_handling" in sys.modules)
    """
    assert run_python(code) == "False\n"


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("import launchpad.nodez", "ModuleNotFoundError", "did you mean 'launchpad.nodes'?"),
        (
            "import launchpad.nodes.courier.nodes",
            "ModuleNotFoundError",
            "did you mean 'launchpad.nodes.courier.node'?",
        ),
        ("import courier.pyton.client", "ModuleNotFoundError", "did you mean 'courier.python'?"),
        ("import launchpad.nodes.python.xm_docker", "ModuleNotFoundError", "are left out"),
        ("import launchpad as lp; lp.Programm", "AttributeError", "did you mean 'Program'?"),
        ("import launchpad as lp; lp.DockerConfig", "AttributeError", "are left out"),
    ],
)
def test_a_name_that_is_not_there(statement: str, error: str, says: str) -> None:
    code = f"""
        from launchpad_lite import compat
        compat.install()
        try:
            {statement}
        except {error} as error:
            print(error)
    """
    output = run_python(code)
    assert says in output
    assert len(output.splitlines()) == 1


def test_reverb_is_taken_over_only_where_that_is_asked_for() -> None:
    code = """
        import sys
        from launchpad_lite import compat, replay
        compat.install()
        try:
            import reverb
        except ModuleNotFoundError:
            print("not found")
        compat.install(reverb=True)
        import reverb
        from reverb import item_selectors, rate_limiters
        assert reverb.Table is replay.Table
        assert reverb.selectors is replay.selectors
        assert reverb.TableExtension is replay.TableExtension, "what is new is there as well"
        assert rate_limiters.MinSize is reverb.rate_limiters.MinSize is replay.rate_limiters.MinSize
        assert item_selectors.Fifo is replay.selectors.Fifo
        for missing in ("reverb.TFClient", "reverb.Tabel"):
            try:
                eval(missing)
            except AttributeError as error:
                print(error)
        try:
            import reverb.tf_client
        except ModuleNotFoundError as error:
            print(error)
    """
    found = run_python(code).splitlines()
    assert found[0] == "not found"
    assert found[1].startswith("reverb.TFClient is not in launchpad_lite: it needs TensorFlow")
    assert "did you mean 'Table'" in found[2]
    assert "it needs TensorFlow" in found[3]


def test_an_installed_reverb_is_not_hidden_unless_it_must_be(tmp_path: Path) -> None:
    (tmp_path / "reverb.py").write_text("mine = True\n")
    code = """
        from launchpad_lite import compat, errors
        compat.install()
        import reverb
        print(reverb.mine)
        try:
            compat.install(reverb=True)
        except errors.UsageError as error:
            print(error)
        compat.install(reverb=True, force=True)
        import reverb
        print(reverb.Table.__name__)
    """
    first, second, third = run_python(code, tmp_path).splitlines()
    assert (first, third) == ("True", "Table")
    assert second.startswith("a package 'reverb' is imported already, at")
    assert "launchpad_lite.compat.install(reverb=True, force=True)" in second


@pytest.mark.parametrize("name", ["launchpad", "courier"])
def test_an_installed_package_is_not_hidden_unless_it_must_be(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("mine = True\n")
    code = f"""
        from launchpad_lite import compat, errors
        try:
            compat.install()
        except errors.UsageError as error:
            print(error)
        import {name}
        print({name}.mine)
        try:
            compat.install()
        except errors.UsageError as error:
            print("imported" in str(error))
        compat.install(force=True)
        import {name}
        print(hasattr({name}, "mine"))
    """
    first, *rest = run_python(code, tmp_path).splitlines()
    assert first.startswith(f"a package {name!r} is installed already, at {tmp_path / name}")
    assert "compat.install(force=True)" in first
    assert rest == ["True", "True", "False"]


def test_a_mere_directory_of_that_name_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "launchpad").mkdir()
    code = """
        from launchpad_lite import compat
        compat.install()
        import launchpad
        print(launchpad.Program.__name__)
    """
    assert run_python(code, tmp_path) == "Program\n"
