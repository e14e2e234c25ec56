"""What a person runs beside the CDK's command: push the tile Lambda's image, check a deployment on a real account."""
