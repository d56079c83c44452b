"""The HTTP API in front of `status`: three routes, each of them for callers with IAM permission only."""

import json

from cdktf_cdktf_provider_aws.apigatewayv2_api import Apigatewayv2Api
from cdktf_cdktf_provider_aws.apigatewayv2_integration import Apigatewayv2Integration
from cdktf_cdktf_provider_aws.apigatewayv2_route import Apigatewayv2Route
from cdktf_cdktf_provider_aws.apigatewayv2_stage import (
    Apigatewayv2Stage,
    Apigatewayv2StageAccessLogSettings,
    Apigatewayv2StageDefaultRouteSettings,
)
from cdktf_cdktf_provider_aws.lambda_permission import LambdaPermission
from constructs import Construct

from handlers.contract import names
from stacks.foundation.context import Context
from stacks.foundation.log_groups import log_group
from stacks.functions.function import Function

ROUTES = {"job": "/jobs/{job_id}", "jobs": "/jobs", "statistics": "/statistics"}
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
ACCESS_LOG_FIELDS = {
    "request_id": "$context.requestId",
    # As `status` logs it, also where it did not get so far as to know the request's own id.
    "function_request_id": "$context.awsEndpointRequestId",
    "time": "$context.requestTime",
    "caller": "$context.identity.userArn",
    "source_ip": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "integration_status": "$context.integrationStatus",
    "error": "$context.error.message",
    "integration_error": "$context.integrationErrorMessage",
}


class StatusApi(Construct):
    """The API, its routes, and their permission to invoke the function."""

    def __init__(self, scope: Construct, id_: str, *, context: Context, status: Function, key_arn: str) -> None:
        super().__init__(scope, id_)
        settings = context.settings.status_api
        api = Apigatewayv2Api(
            self, "api", name=context.name("api"), protocol_type="HTTP", description="Progress of scan jobs"
        )
        logs = log_group(
            self, "log_group", context=context, name=names.access_log_group(context.settings.prefix), key_arn=key_arn
        )
        integration = Apigatewayv2Integration(
            self,
            "integration",
            api_id=api.id,
            integration_type="AWS_PROXY",
            integration_method="POST",
            integration_uri=status.function.invoke_arn,
            payload_format_version="2.0",
        )
        routes = []
        for route_id, path in ROUTES.items():
            route = Apigatewayv2Route(
                self,
                f"{route_id}_route",
                api_id=api.id,
                route_key=f"GET {path}",
                authorization_type="AWS_IAM",
                target=f"integrations/{integration.id}",
            )
            LambdaPermission(
                self,
                f"{route_id}_permission",
                statement_id=f"api-{route_id}",
                action="lambda:InvokeFunction",
                function_name=status.function.function_name,
                principal="apigateway.amazonaws.com",
                source_arn=f"{api.execution_arn}/*/GET{path}",
            )
            routes.append(route)
        Apigatewayv2Stage(
            self,
            "stage",
            api_id=api.id,
            name="$default",
            auto_deploy=True,
            access_log_settings=Apigatewayv2StageAccessLogSettings(
                destination_arn=logs.arn, format=json.dumps(ACCESS_LOG_FIELDS)
            ),
            default_route_settings=Apigatewayv2StageDefaultRouteSettings(
                throttling_rate_limit=settings.requests_per_second,
                throttling_burst_limit=2 * settings.requests_per_second,
            ),
            # The stage refuses settings for routes that are not there yet.
            depends_on=routes,
        )
        self.api_id = api.id
        self.url = api.api_endpoint
