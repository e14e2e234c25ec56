"""What an image function's command names."""

import os
from pathlib import Path

import boto3


def handler(event, context):
    boto3.client("s3").put_object(Bucket=event["bucket"], Key="a/b.txt", Body=b"from the image")
    return {"name": os.environ["AWS_LAMBDA_FUNCTION_NAME"], "cwd": str(Path.cwd()), "greeting": os.environ["GREETING"]}
