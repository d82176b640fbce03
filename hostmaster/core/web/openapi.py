"""What the OpenAPI document says about errors: the same for every operation, so said once here."""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from pydantic.json_schema import models_json_schema

from hostmaster.core.web.errors import ErrorOut, InvalidOut

REFERENCE = "#/components/schemas/{model}"


class DocumentedApi(NinjaAPI):
    """A NinjaAPI whose document names the errors that authentication and parsing answer."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(*args, **kwargs)
        _, models = models_json_schema(
            [(ErrorOut, "serialization"), (InvalidOut, "serialization")], ref_template=REFERENCE
        )
        schema["components"].setdefault("schemas", {}).update(models["$defs"])
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                for status, answer in _error_answers(path, operation).items():
                    operation["responses"].setdefault(status, answer)
        return schema


def _error_answers(path: str, operation: dict[str, Any]) -> dict[int, dict[str, Any]]:
    answers = {
        401: _answer("No valid token or session.", ErrorOut),
        403: _answer("The role does not allow this.", ErrorOut),
        411: _answer("A body came without its Content-Length.", ErrorOut),
        429: _answer("Too many requests; wait as Retry-After says.", ErrorOut),
    }
    if "{" in path:
        answers[404] = _answer("There is no such thing in this tenant.", ErrorOut)
    if "requestBody" in operation:
        answers[400] = _answer("The body is not JSON.", ErrorOut)
        answers[413] = _answer("The body is larger than 1 MiB.", ErrorOut)
    if "requestBody" in operation or operation.get("parameters"):
        answers.setdefault(400, _answer("The query cannot be read.", ErrorOut))
        answers[422] = _answer("Fields were refused; each is named.", InvalidOut)
    return dict(sorted(answers.items()))


def _answer(description: str, model: type[ErrorOut | InvalidOut]) -> dict[str, Any]:
    content = {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
    return {"description": description, "content": {"application/json": content}}
