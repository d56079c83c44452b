"""Routes, and what a function's result becomes."""

import json

import pytest

from lab.emulator.http_api import Route, find_route, translate

KEYS = ["$default", "GET /jobs/{job_id}", "GET /jobs/{path+}", "GET /jobs/latest", "ANY /jobs/latest", "POST /jobs"]


def route(key: str) -> Route:
    return Route(key=key, function_arn="arn", authorization_type="NONE", api_id="api", account_id="123456789012")


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/jobs/latest", "GET /jobs/latest", {}),
        ("PUT", "/jobs/latest", "ANY /jobs/latest", {}),
        ("GET", "/jobs/8c5a", "GET /jobs/{job_id}", {"job_id": "8c5a"}),
        ("GET", "/jobs/8c5a/objects", "GET /jobs/{path+}", {"path": "8c5a/objects"}),
        ("POST", "/jobs", "POST /jobs", {}),
        ("GET", "/jobs", "$default", {}),
        ("GET", "/jobs/", "$default", {}),
    ],
)
def test_the_most_specific_route_serves_a_request(method: str, path: str, key: str, parameters: dict[str, str]) -> None:
    found = find_route(map(route, KEYS), method, path)
    assert found is not None
    assert (found[0].key, found[1]) == (key, parameters)


def test_no_route_serves_what_no_route_fits() -> None:
    assert find_route([route("GET /jobs.json")], "GET", "/jobsxjson") is None


@pytest.mark.parametrize(
    ("result", "status", "body", "content_type"),
    [
        ({"statusCode": 404, "body": "{}", "headers": {"content-type": "text/x"}}, 404, b"{}", "text/x"),
        ({"statusCode": 200, "body": "eA==", "isBase64Encoded": True}, 200, b"x", "text/plain; charset=utf-8"),
        ({"no": "status"}, 200, b'{"no": "status"}', "application/json"),
        ({"statusCode": 200, "body": {"not": "text"}}, 500, b'{"message":"Internal Server Error"}', "application/json"),
    ],
)
def test_a_result_becomes_a_response(result: object, status: int, body: bytes, content_type: str) -> None:
    response = translate(json.dumps(result))
    assert (response.status_code, response.data, response.content_type) == (status, body, content_type)
