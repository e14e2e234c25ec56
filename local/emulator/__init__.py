"""The AWS on one machine: MiniStack with real Lambda runtimes, for tests, the demo and benchmarks.

What differs from AWS, and which test covers the difference, stands in ``local/fidelity.md``.
"""

from local.emulator.assembly import AssemblyError
from local.emulator.cloud import Cloud, CloudError, running_cloud
from local.emulator.stacks import DeploymentError

__all__ = ["AssemblyError", "Cloud", "CloudError", "DeploymentError", "running_cloud"]
