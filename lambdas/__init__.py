"""The Lambda functions: one folder, one thin handler and one role each."""
