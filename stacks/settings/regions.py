"""What settings ask of a region: that RDS offers the class there, and that the functions trust its certificates."""

import re
from collections.abc import Iterable

from stacks.settings.base import MisfitError
from stacks.settings.instance_classes import SERVERLESS
from stacks.settings.rds_offers import POSTGRES, rds_offers

# https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
OTHER_PARTITIONS = {"us-gov-": "GovCloud", "cn-": "China"}
GLOBAL_BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
PROXY_AUTHORITIES = "https://www.amazontrust.com/repository/"


def check_region(region: str) -> None:
    """Refuse a region that no stack can be deployed to.

    Raises:
        ValueError: it is in another partition of AWS, or RDS offers the engine nowhere in it.

    """
    for beginning, partition in OTHER_PARTITIONS.items():
        if region.startswith(beginning):
            raise ValueError(
                f"{partition} is a partition of its own, which is not supported: the functions' package lacks the "
                "certificate authorities of its databases, and the names of endpoints, service principals and consoles "
                "are those of the partition aws"
            )
    offers = rds_offers()
    if region not in offers.regions:
        raise ValueError(f"RDS offers {POSTGRES} in no such region, {offers.as_of}")


def check_zones(region: str, zones: Iterable[str]) -> None:
    """Refuse what is no availability zone of the region, such as the region itself or a local zone.

    Raises:
        MisfitError: with the first that is none.

    """
    for zone in zones:
        if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
            raise MisfitError(("network", "availability_zones"), zone, f"no zone of region {region}")


def check_instance_class(region: str, engine: str, instance_class: str) -> None:
    """Refuse a class that RDS does not offer in the region. Which zones have it, only AWS knows.

    Serverless v2 is offered wherever Aurora is.

    Raises:
        MisfitError: with the classes of the same kind and size that the region has.

    """
    offers = rds_offers(engine)
    if instance_class != SERVERLESS and not offers.has(region, instance_class):
        others = ", ".join(offers.classes_like(region, instance_class)) or "none"
        raise MisfitError(
            ("database", "instance_class"),
            instance_class,
            f"RDS does not offer it in {region}; of its kind and size it offers {others}; {offers.as_of}",
        )


def check_certificates(region: str, *, has_own: bool) -> None:
    """Refuse a region whose databases the functions could not verify.

    Args:
        region: of the deployment.
        has_own: whether the settings name a file of certificate authorities.

    Raises:
        MisfitError: with the way to get the authorities.

    """
    if not has_own and region not in rds_offers().certified_regions:
        raise MisfitError(
            ("region",),
            region,
            "the functions' package lacks the certificate authorities of RDS there: set functions.ca_bundle to a PEM "
            f"file with those of {GLOBAL_BUNDLE} and, for RDS Proxy, the Amazon roots at {PROXY_AUTHORITIES}",
        )
