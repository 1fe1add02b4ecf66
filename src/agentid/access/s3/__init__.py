"""`boto3` and `botocore`: which objects of S3 an operation touches, and the client that sends it."""
