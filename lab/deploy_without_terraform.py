"""Creates the resources of the data path without Terraform, for machines without an AWS provider.

Reads the Terraform JSON that `main.py` synthesises, so names, code, variables and routes are the same. Leaves out
network, encryption, role policies, schedule, alarms and dashboard.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.deployment import Deployment, DeploymentError
from lab.emulator.access.control import UNCHECKED_PATH
from lab.emulator.server import PROXY_DOMAIN, Emulator

REFERENCE = re.compile(r"\$\{((?:data\.)?\w+\.\w+)\.([^}]+)\}")
ACCOUNT_ID = "123456789012"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def deploy_without_terraform(deployment: Deployment, *, report: Callable[[str], None] = print) -> int:
    """Synthesise the stack, create its data path in the emulator, run the migrations; return the number of resources.

    Raises:
        DeploymentError: the stack cannot be synthesised, or refers to a resource that is not created here.
        EmulatorError: the migrations failed; the message is the function's own.

    """
    deployment.synthesise()
    configuration = json.loads((deployment.stack_directory / "cdk.tf.json").read_text())
    resources = _Resources(configuration, deployment.emulator, folder=deployment.stack_directory)
    resources.create_all()
    report(f"{resources.count} resources created; now the migrations, in their Lambda function")
    for name, event in resources.invocations():
        result = deployment.emulator.invoke(name, event)
        if "applied" in result:
            report(f"applied: {', '.join(result['applied']) or 'none, all were applied before'}")
    return resources.count


class _Resources:
    """The resources of a synthesised stack, and the attributes of those that were created."""

    def __init__(self, configuration: Mapping[str, Any], emulator: Emulator, *, folder: Path) -> None:
        self.count = 0
        self._resources = configuration["resource"]
        self._emulator = emulator
        self._folder = folder
        self._known: dict[str, dict[str, str]] = {}
        for kind, items in configuration.get("data", {}).items():
            for name in items:
                self._known[f"data.{kind}.{name}"] = {
                    "account_id": ACCOUNT_ID,
                    "partition": "aws",
                    "region": emulator.region,
                    "name": emulator.region,
                }

    def create_all(self) -> None:
        """Create the resources of the data path, in the order of dependence."""
        creators: dict[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
            "aws_iam_role": self._role,
            "aws_db_instance": self._instance,
            "aws_db_proxy": self._proxy,
            "aws_s3_bucket": self._bucket,
            "aws_s3_object": self._object,
            "aws_lambda_function": self._function,
            "aws_apigatewayv2_api": self._api,
            "aws_apigatewayv2_integration": self._integration,
            "aws_apigatewayv2_route": self._route,
            "aws_lambda_permission": self._permission,
        }
        for kind, create in creators.items():
            for address, arguments in self.of_type(kind):
                self._known[address] = create(arguments)
                self.count += 1

    def invocations(self) -> list[tuple[str, Any]]:
        """Return function and event of the stack's invocations: the migrations, then the first refresh."""
        arguments = [arguments for _, arguments in self.of_type("aws_lambda_invocation")]
        # Every resource exists, so one order is left: functions that depend on an invocation are invoked after it.
        functions = self._resources["aws_lambda_function"]

        def waits(invocation: Mapping[str, Any]) -> bool:
            _, name, _ = invocation["function_name"].strip("${}").split(".")
            return any(each.startswith("aws_lambda_invocation.") for each in functions[name]["depends_on"])

        return [
            (self.resolve(each["function_name"]), json.loads(self.resolve(each["input"])))
            for each in sorted(arguments, key=waits)
        ]

    def of_type(self, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        """Return address and arguments of the resources of one type."""
        return [(f"{kind}.{name}", arguments) for name, arguments in self._resources.get(kind, {}).items()]

    def resolve(self, value: Any) -> Any:
        """Return a value with its references to other resources replaced."""
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, str):
            return REFERENCE.sub(lambda match: self._attribute(match[1], match[2]), value)
        return value

    def _attribute(self, address: str, name: str) -> str:
        known = self._known.get(address, {})
        if name in known:
            return known[name]
        kind, _, resource = address.partition(".")
        argument = self._resources.get(kind, {}).get(resource, {}).get(name)
        if argument is None:
            raise DeploymentError(f"{address}.{name} is not known without Terraform; add it to {__name__}")
        return str(self.resolve(argument))

    def _role(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        role = self._emulator.client("iam").create_role(
            RoleName=self.resolve(arguments["name"]),
            # The policies of these roles, and the network that their functions need, are not created.
            Path=UNCHECKED_PATH,
            AssumeRolePolicyDocument=json.dumps(TRUST),
        )
        return {"arn": role["Role"]["Arn"], "id": role["Role"]["RoleName"]}

    def _instance(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        instance = self._emulator.client("rds").create_db_instance(
            DBInstanceIdentifier=self.resolve(arguments["identifier"]),
            DBInstanceClass=arguments["instance_class"],
            Engine=arguments["engine"],
            AllocatedStorage=arguments["allocated_storage"],
            MasterUsername=arguments["username"],
            ManageMasterUserPassword=True,
            Port=arguments["port"],
        )["DBInstance"]
        secret_arn = instance["MasterUserSecret"]["SecretArn"]
        return {"address": instance["Endpoint"]["Address"], "master_user_secret[0].secret_arn": secret_arn}

    def _proxy(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """Return the proxy's host name; creating the proxy would need the network."""
        return {"endpoint": f"{arguments['name']}.{PROXY_DOMAIN.format(region=self._emulator.region)}"}

    def _bucket(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        name = self.resolve(arguments["bucket"])
        location = {"LocationConstraint": self._emulator.region}
        self._emulator.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=location)
        return {"id": name, "arn": f"arn:aws:s3:::{name}"}

    def _object(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        location = {"Bucket": self.resolve(arguments["bucket"]), "Key": self.resolve(arguments["key"])}
        body = (self._folder / arguments["source"]).read_bytes()
        self._emulator.client("s3").put_object(**location, Body=body)
        return {}

    def _function(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        arn = self._emulator.client("lambda").create_function(
            FunctionName=self.resolve(arguments["function_name"]),
            Runtime=arguments["runtime"],
            Role=self.resolve(arguments["role"]),
            Handler=arguments["handler"],
            Code={"S3Bucket": self.resolve(arguments["s3_bucket"]), "S3Key": self.resolve(arguments["s3_key"])},
            Timeout=arguments["timeout"],
            MemorySize=arguments["memory_size"],
            Environment={"Variables": self.resolve(arguments["environment"]["variables"])},
        )["FunctionArn"]
        return {"arn": arn, "invoke_arn": arn}

    def _api(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        api_id = self._emulator.client("apigatewayv2").create_api(
            Name=arguments["name"], ProtocolType=arguments["protocol_type"]
        )["ApiId"]
        execution_arn = f"arn:aws:execute-api:{self._emulator.region}:{ACCOUNT_ID}:{api_id}"
        return {"id": api_id, "execution_arn": execution_arn}

    def _integration(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        integration = self._emulator.client("apigatewayv2").create_integration(
            ApiId=self.resolve(arguments["api_id"]),
            IntegrationType=arguments["integration_type"],
            IntegrationUri=self.resolve(arguments["integration_uri"]),
            PayloadFormatVersion=arguments["payload_format_version"],
        )
        return {"id": integration["IntegrationId"]}

    def _route(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        self._emulator.client("apigatewayv2").create_route(
            ApiId=self.resolve(arguments["api_id"]),
            RouteKey=arguments["route_key"],
            AuthorizationType=arguments["authorization_type"],
            Target=self.resolve(arguments["target"]),
        )
        return {}

    def _permission(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        self._emulator.client("lambda").add_permission(
            FunctionName=self.resolve(arguments["function_name"]),
            StatementId=arguments["statement_id"],
            Action=arguments["action"],
            Principal=arguments["principal"],
            SourceArn=self.resolve(arguments["source_arn"]),
        )
        return {}
