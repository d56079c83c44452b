"""The bucket of what is deployed: each migrations release and each functions' package under its SHA-256."""

from cdktf import AssetType, TerraformAsset
from cdktf_cdktf_provider_aws.s3_bucket import S3Bucket
from cdktf_cdktf_provider_aws.s3_bucket_lifecycle_configuration import (
    S3BucketLifecycleConfiguration,
    S3BucketLifecycleConfigurationRule,
    S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload,
    S3BucketLifecycleConfigurationRuleFilter,
    S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration,
)
from cdktf_cdktf_provider_aws.s3_bucket_ownership_controls import (
    S3BucketOwnershipControls,
    S3BucketOwnershipControlsRule,
)
from cdktf_cdktf_provider_aws.s3_bucket_policy import S3BucketPolicy
from cdktf_cdktf_provider_aws.s3_bucket_public_access_block import S3BucketPublicAccessBlock
from cdktf_cdktf_provider_aws.s3_bucket_server_side_encryption_configuration import (
    S3BucketServerSideEncryptionConfigurationA,
    S3BucketServerSideEncryptionConfigurationRuleA,
    S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA,
)
from cdktf_cdktf_provider_aws.s3_bucket_versioning import S3BucketVersioningA, S3BucketVersioningVersioningConfiguration
from cdktf_cdktf_provider_aws.s3_object import S3Object
from constructs import Construct

from handlers.contract import names
from stacks.assets.package import Package
from stacks.foundation import iam
from stacks.foundation.context import Context

OLD_VERSIONS_KEPT_DAYS = 365


class Artifacts(Construct):
    """A private, versioned, encrypted bucket."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, key_arn: str) -> None:
        super().__init__(scope, id_)
        self.bucket_name = names.release_bucket(context.settings.prefix, context.account_id)
        bucket = S3Bucket(
            self,
            "bucket",
            bucket=self.bucket_name,
            force_destroy=not context.settings.database.deletion_protection,
        )
        self.bucket_arn = bucket.arn
        policy = S3BucketPolicy(
            self,
            "policy",
            bucket=bucket.id,
            policy=iam.document(
                [
                    iam.statement(
                        "s3:*",
                        sid="RefusePlainHttp",
                        effect="Deny",
                        principals={"AWS": "*"},
                        resources=[bucket.arn, f"{bucket.arn}/*"],
                        conditions={"Bool": {"aws:SecureTransport": "false"}},
                    )
                ]
            ),
        )
        block = S3BucketPublicAccessBlock(
            self,
            "public_access_block",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            # S3 answers 409 when both are changed at once.
            depends_on=[policy],
        )
        ownership = S3BucketOwnershipControls(
            self,
            "ownership",
            bucket=bucket.id,
            rule=S3BucketOwnershipControlsRule(object_ownership="BucketOwnerEnforced"),
            depends_on=[block],
        )
        encryption = S3BucketServerSideEncryptionConfigurationA(
            self,
            "encryption",
            bucket=bucket.id,
            rule=[
                S3BucketServerSideEncryptionConfigurationRuleA(
                    bucket_key_enabled=True,
                    apply_server_side_encryption_by_default=(
                        S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA(
                            sse_algorithm="aws:kms", kms_master_key_id=key_arn
                        )
                    ),
                )
            ],
        )
        versioning = S3BucketVersioningA(
            self,
            "versioning",
            bucket=bucket.id,
            versioning_configuration=S3BucketVersioningVersioningConfiguration(status="Enabled"),
        )
        S3BucketLifecycleConfiguration(
            self,
            "lifecycle",
            bucket=bucket.id,
            rule=[
                S3BucketLifecycleConfigurationRule(
                    id="forget-old-versions",
                    status="Enabled",
                    filter=[S3BucketLifecycleConfigurationRuleFilter(prefix="")],
                    noncurrent_version_expiration=[
                        S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration(
                            noncurrent_days=OLD_VERSIONS_KEPT_DAYS
                        )
                    ],
                    abort_incomplete_multipart_upload=[
                        S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload(days_after_initiation=1)
                    ],
                )
            ],
            depends_on=[versioning],
        )
        self._ready = [ownership, encryption, versioning]

    def upload(self, id_: str, package: Package) -> S3Object:
        """Store a package under its hash. A new hash is stored before the old one is deleted."""
        asset = TerraformAsset(self, f"{id_}_file", path=str(package.path), type=AssetType.FILE)
        return S3Object(
            self,
            id_,
            bucket=self.bucket_name,
            key=f"{package.sha256}.zip",
            source=asset.path,
            content_type="application/zip",
            lifecycle={"create_before_destroy": True},
            depends_on=self._ready,
        )
