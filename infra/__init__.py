"""The CDK app: one construct a capability, one stack that only composes them.

Importing any module of it settles which Node the CDK runs on, before ``aws_cdk`` starts one.
"""

from infra.node import use_bundled_node

use_bundled_node()
