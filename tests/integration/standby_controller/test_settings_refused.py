"""Each setting of the pair, out of its range or of a wrong type: refused by name and value, and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.standby_controller.pair_document import PairDocument
from tests.integration.standby_controller.stage import open_stage
from tests.integration.standby_controller.test_schedule_kept import save

GROUPS: Final = ("sync", "history", "failover", "monitor")
SET_BY_THE_SERVICE: Final = ("anchor_at", "first_at")
CONTRADICTIONS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"sync": {"run_every": "PT6H"}, "failover": {"data_age_limit_seconds": 3600}}, "failover.data_age_limit_seconds"),
    ({"sync": {"run_every": "PT59M"}}, "sync.accept_short_interval"),
    ({"monitor": {"offset_warning_seconds": 20.0}}, "monitor.offset_limit_seconds"),
    ({"failover": {"recheck_seconds": 5.5}}, "failover.recheck_seconds"),
)


def bad_values(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[Any]:
    """Yield values that a setting of that schema must not take."""
    for part in [schema, *schema.get("anyOf", [])]:
        found = {**part, **definitions.get(str(part.get("$ref", "")).rpartition("/")[2], {})}
        for limit, beyond in (("minimum", -1), ("maximum", 1)):
            if limit in found:
                yield found[limit] + beyond
        if "exclusiveMinimum" in found:
            yield found["exclusiveMinimum"]
        match found.get("type"):
            case "integer" | "number":
                yield from ("12", True)
            case "boolean":
                yield from ("yes", 1)
            case "string":
                yield from (17, "novel")
    yield {"a": 1}


def settings() -> Iterator[tuple[str, str, Any]]:
    """Yield each setting with a value it must not take."""
    schema = PairDocument.model_json_schema()
    definitions = schema["$defs"]
    for group in GROUPS:
        properties = definitions[schema["properties"][group]["$ref"].rpartition("/")[2]]["properties"]
        for name, found in properties.items():
            if name not in SET_BY_THE_SERVICE:
                for value in bad_values(found, definitions):
                    yield group, name, value


async def test_no_setting_takes_what_it_must_not(newest_dsn: str, tmp_path: Path) -> None:
    """422 with the name of the key and, of numbers, the value; what is stored stays as it is."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        before = await stage.get("/v1/config")
        tried = 0
        for group, name, value in settings():
            refusal = await save(stage, {group: {name: value}}, expect=422)
            assert refusal["code"] in ("config_refused", "request_invalid"), (group, name, value, refusal)
            assert f"{group}.{name}" in refusal["detail"], (group, name, value, refusal)
            if isinstance(value, int | float):
                assert str(value).lower() in refusal["detail"].lower(), (group, name, value, refusal)
            tried += 1
        assert tried > 80
        for patch, named in CONTRADICTIONS:
            assert named in (await save(stage, patch, expect=422))["detail"]
        assert await stage.get("/v1/config") == before
