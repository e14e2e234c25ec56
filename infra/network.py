"""Where what asks the source runs: in Lambda's own network, or in a VPC that exists already."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.config import StackConfig
from infra.permissions import allow

_ACTIONS: Final = [
    f"ec2:{action}"
    for action in (
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
    )
]
"""What Lambda needs to put a function into a VPC
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions)."""


class Network(Construct):
    """The VPC of what asks the source, if there is one; known by its ids, so that synthesis asks AWS nothing."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig) -> None:
        """Refer to the VPC; a security group is made where none is given."""
        super().__init__(scope, construct_id)
        self.function_properties: dict[str, Any] = {}
        """What a function in the VPC is made with; empty without one."""
        if config.vpc_id is None:
            return
        # Zones are only asked for by what picks subnets; ours are picked.
        vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=config.vpc_id, availability_zones=["unknown"])
        subnets = [
            ec2.Subnet.from_subnet_id(self, f"Subnet{number}", name)
            for number, name in enumerate(config.vpc_subnet_ids)
        ]
        groups: list[ec2.ISecurityGroup] = [
            ec2.SecurityGroup.from_security_group_id(self, f"Group{number}", name, mutable=False)
            for number, name in enumerate(config.vpc_security_group_ids)
        ]
        if not groups:
            groups = [
                ec2.SecurityGroup(self, "Group", vpc=vpc, description="Who asks the source: everything out, nothing in")
            ]
        self.function_properties = {
            "vpc": vpc,
            "vpc_subnets": ec2.SubnetSelection(subnets=subnets),
            "security_groups": groups,
        }

    def allow_joining(self, role: iam.Role) -> None:
        """Let Lambda put a function with this role into the VPC, and keep the function's own code from the same."""
        if not self.function_properties:
            return
        allow(
            role,
            _ACTIONS,
            ["*"],
            because="Lambda makes the function's network interfaces with its role; AWS knows no resources to limit "
            "some of these actions to, and the code of functions is denied them.",
        )
        functions = cdk.Stack.of(self).format_arn(
            service="lambda", resource="function", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )
        role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=_ACTIONS,
                resources=["*"],
                conditions={"ArnLike": {"lambda:SourceFunctionArn": functions}},
            )
        )
