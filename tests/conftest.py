"""Two logical CPUs, so that replicas can be tested on any machine."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import pytest
import tensorflow as tf

# The first call of an op is slow: a deadline would test the machine.
hypothesis.settings.register_profile("dropkit", deadline=None)
hypothesis.settings.load_profile("dropkit")

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture
def two_replicas():
    """A strategy over two logical CPUs."""
    # The default's collectives are numbered by process: a second model of
    # another size would be refused.
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()
    )
