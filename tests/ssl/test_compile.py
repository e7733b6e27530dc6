"""A compiled step compared with an eager one."""

import shutil

import pytest
import torch
from tests.ssl.test_step import batch

from gensis.settings.runtime import Runtime

COMPILERS = ("g++", "clang++")


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason=f"none of {', '.join(COMPILERS)} is installed")
@pytest.mark.parametrize("mode", [True, pytest.param("reduce-overhead", marks=pytest.mark.slow)])
def test_a_compiled_step_equals_an_eager_one_and_keeps_the_names_of_weights(make_pretrainer, mode):
    eager, compiled = (make_pretrainer(drop_path=0.0, runtime=Runtime(compile=flag)) for flag in (False, mode))
    figures, others = (pretrainer.learn(batch(0), step=1) for pretrainer in (eager, compiled))
    torch.testing.assert_close(others, figures, atol=1e-4, rtol=1e-4)
    assert compiled.state_dict()["method"].keys() == eager.state_dict()["method"].keys()
    for one, other in zip(eager.method.student.parameters(), compiled.method.student.parameters()):
        torch.testing.assert_close(other.grad, one.grad, atol=1e-5, rtol=1e-3)
