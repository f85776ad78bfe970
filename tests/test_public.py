"""The names that others rely on."""

import subprocess
import sys

import pytest

import prioritycut


@pytest.mark.parametrize("name", prioritycut.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(prioritycut, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'priority_cut'"):
        prioritycut.priority_cut  # noqa: B018 - the look-up is what is tested


def test_the_regularizer_loads_without_models_video_or_training() -> None:
    script = (
        "import sys; from prioritycut import priority_cut_mask, mix, consistency_loss; "
        "heavy = ('prioritycut.models', 'prioritycut.training', 'lightning', 'av', 'tyro', 'scipy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_training_engine_does_not_slow_other_commands() -> None:
    script = "import sys, prioritycut.cli; print('lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
