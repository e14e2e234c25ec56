"""The budget: mails when the stack gets more expensive in a month than was planned. Off unless wanted."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from infra.config import StackConfig

COST_TAG: Final = "alos-mosaic-stack"
"""Tag by which the bill tells this stack from everything else; the account's payer activates it for cost allocation."""
_WARNINGS: Final = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""What is compared with the budget, and the percentage of it at which the addresses are told."""


class Budget(Construct):
    """A monthly AWS Budget of what carries the stack's tag; nothing without an amount."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StackConfig) -> None:
        """Tag the whole stack and create the budget, which tells the settings' addresses."""
        super().__init__(scope, construct_id)
        if config.budget_usd_per_month is None:
            return
        stack = cdk.Stack.of(self)
        cdk.Tags.of(stack).add(COST_TAG, stack.stack_name)
        subscribers = [
            budgets.CfnBudget.SubscriberProperty(subscription_type="EMAIL", address=address)
            for address in config.alarm_emails
        ]
        budgets.CfnBudget(
            self,
            "Monthly",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=config.budget_usd_per_month, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{COST_TAG}${stack.stack_name}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent
                    ),
                    subscribers=subscribers,
                )
                for kind, percent in _WARNINGS
            ],
        )
