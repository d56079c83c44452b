"""A secret is decrypted with its key in the name of the caller, and the request names the secret."""

from __future__ import annotations

import json

import pytest

from lab.emulator.access.account import Account
from lab.emulator.access.decisions import AccessDeniedError, Use, check_use

ROLE = "arn:aws:iam::123456789012:role/migrate"
SECRET, OTHER = (f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}" for name in ("scans", "other"))
KEY = "arn:aws:kms:eu-central-1:123456789012:key/of-another-team"
BY_ACCOUNT = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "kms:*",
    "Resource": "*",
}
READ = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
DECRYPT = {
    "Effect": "Allow",
    "Action": "kms:Decrypt",
    "Resource": "arn:aws:kms:eu-central-1:123456789012:key/*",
    "Condition": {
        "StringEquals": {
            "kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com",
            "kms:EncryptionContext:SecretARN": SECRET,
        }
    },
}


def read(secret: str, *statements: object) -> None:
    account = Account(
        id="123456789012",
        region="eu-central-1",
        policies={KEY: json.dumps({"Statement": BY_ACCOUNT})},
        role_policies={ROLE: {"own": json.dumps({"Statement": statements})}},
        keys={SECRET: KEY, OTHER: KEY},
    )
    check_use(account, Use(by="migrate", action="secretsmanager:GetSecretValue", resource=secret, role=ROLE))


def test_a_permission_to_decrypt_one_secret_serves_that_secret_only() -> None:
    read(SECRET, READ, DECRYPT)
    with pytest.raises(AccessDeniedError, match="kms:Decrypt"):
        read(OTHER, READ, DECRYPT)


def test_a_secret_under_a_key_is_not_read_without_a_permission_to_decrypt() -> None:
    with pytest.raises(AccessDeniedError, match="kms:Decrypt"):
        read(SECRET, READ)
