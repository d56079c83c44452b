"""Patches moto's API Gateway v2 with what an update of a stage needs: `UpdateStage`, and tags that follow."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2.models import ApiGatewayV2Backend, Stage
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.apigatewayv2.urls import url_paths

from lab.emulator.patching import after, replace

TAGS_OF_STAGE = "{0}/v2/tags/(?P<arn>[^/]+)/apis/(?P<api_id>[^/]+)/stages/(?P<stage_name>[^/]+)$"


def patch_stages() -> None:
    """Add what is missing."""
    replace(ApiGatewayV2Response, "update_stage", _update_stage)
    url_paths[TAGS_OF_STAGE] = ApiGatewayV2Response.dispatch
    after(ApiGatewayV2Backend, "create_stage", _tag_new_stage)
    for method in ("tag_resource", "untag_resource"):
        after(ApiGatewayV2Backend, method, _take_tags)


def _update_stage(self: Any) -> tuple[int, Mapping[str, str], str]:
    """Replace what the request names and keep the rest, as "UpdateStage" in the API Gateway v2 reference has it."""
    api_id, _, name = self.path.split("/")[-3:]
    api = self.apigatewayv2_backend.get_api(api_id)
    stage = api.get_stage(unquote(name))
    updated = Stage(api, stage.config | json.loads(self.body))
    updated.tags, updated.created = stage.tags, stage.created
    api.stages[stage.name] = updated
    return 200, {}, json.dumps(updated.to_json())


def _tag_new_stage(self: Any, arguments: Mapping[str, Any]) -> None:
    api_id, config = arguments["api_id"], arguments["config"]
    arn = f"arn:aws:apigateway:{self.region_name}::/apis/{api_id}/stages/{config['stageName']}"
    self.tag_resource(arn, config.get("tags"))


def _take_tags(self: Any, arguments: Mapping[str, Any]) -> None:
    """Show the tags of a stage in the stage too: Terraform reads them there."""
    _, _, path = arguments["resource_arn"].partition("/apis/")
    api_id, is_stage, name = path.partition("/stages/")
    if is_stage:
        self.get_stage(api_id, name).tags = self.get_tags(arguments["resource_arn"])
