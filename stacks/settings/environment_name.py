"""How long an environment's name may be: AWS limits the names that are made of it.

The bucket's name leaves the least room; a test over the synthesised stack holds that.
"""

from handlers.contract.names import deployment_name, release_bucket

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
LONGEST_BUCKET_NAME = 63
ACCOUNT_ID_DIGITS = 12
LONGEST_ENVIRONMENT_NAME = LONGEST_BUCKET_NAME - len(release_bucket(deployment_name(""), "0" * ACCOUNT_ID_DIGITS))
