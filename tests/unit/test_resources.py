"""Resources that a command line asks for."""

from __future__ import annotations

import re

import pytest

from launchpad_lite.errors import UsageError
from launchpad_lite.resources import Resources, with_texts


def test_a_text_names_a_group_and_its_amounts() -> None:
    asked = with_texts({}, ["actor:cpus=0.5,gpus=1,memory_gb=4,nodes=3,exclusive,TPU=4"])
    expected = Resources(
        cpus=0.5, gpus=1, memory_gb=4, nodes=3, exclusive=True, custom={"TPU": 4.0}
    )
    assert asked == {"actor": expected}


def test_the_command_line_has_the_last_word_amount_by_amount() -> None:
    given = {
        "actor": Resources(cpus=2, gpus=1, custom={"TPU": 4, "disk": 1}),
        "learner": Resources(gpus=8),
    }
    asked = with_texts(given, ["actor:cpus=3,TPU=2", "actor:nodes=2"])
    assert asked == {
        "actor": Resources(cpus=3, gpus=1, nodes=2, custom={"TPU": 2, "disk": 1}),
        "learner": Resources(gpus=8),
    }
    assert given["actor"].cpus == 2


@pytest.mark.parametrize("name", ["npus", "tpus", "TPU", "network", "disk_gb", "modes"])
def test_a_launchers_own_resources_may_have_similar_names(name: str) -> None:
    assert with_texts({}, [f"actor:{name}=2"]) == {"actor": Resources(custom={name: 2})}


def test_what_the_program_itself_names_is_no_misspelling() -> None:
    given = {"actor": Resources(custom={"memory": 1})}
    assert with_texts(given, ["actor:memory=2"])["actor"].custom == {"memory": 2}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cpus=2", "it names no group"),
        (":cpus=2", "it names no group"),
        ("actor:", "it names no amount"),
        ("", "it names no amount"),
        ("actor:cpus", "'cpus' has no number"),
        ("actor:cpus=many", "'cpus=many' has no number"),
        ("actor:gpus=0.5", "'gpus=0.5' has no whole number"),
        ("actor:gpu=1", "there is no resource 'gpu', but 'gpus'."),
        ("actor:memory=1", "there is no resource 'memory', but 'memory_gb'."),
        ("actor:CPU=1", "there is no resource 'CPU', but 'cpus'."),
        ("actor:gpuss=1", "there is no resource 'gpuss', but 'gpus'."),
        ("actor:memory_mb=1", "there is no resource 'memory_mb', but 'memory_gb'."),
        ("actor:node=1", "there is no resource 'node', but 'nodes'."),
        ("actor:exclusive=1", "'exclusive' has no amount."),
        ("actor:cpus=1,,gpus=1", "there is no resource ''"),
        ("actor:cpus=-1", "Resources(cpus=-1.0): an amount cannot be negative."),
        ("actor:cpus=nan", "Resources(cpus=nan): an amount is a number."),
        ("actor:nodes=0", "nodes=0: give a whole number, 1 or more."),
    ],
)
def test_what_is_no_resource_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)) as caught:
        with_texts({}, [text])
    assert f"--resources={text}: " in str(caught.value)
