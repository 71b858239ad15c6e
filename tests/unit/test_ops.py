"""What ops/ and docs/OPERATIONS.md name exists, and what exists is documented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from offchain.metrics import CoreMetrics, Metrics, WorkerMetrics

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text()
DASHBOARD = json.loads((ROOT / "ops" / "grafana" / "crosspoint.json").read_text())
ALERTS = yaml.safe_load((ROOT / "ops" / "prometheus" / "alerts.yml").read_text())
SCRAPES = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())

PROCESSES: dict[str, Metrics] = {"core": CoreMetrics(), "worker": WorkerMetrics()}

WORDS = {
    *("sum", "by", "rate", "increase", "changes", "histogram_quantile", "and", "or", "le", "job", "up"),
    *("process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"),
}
"""Everything else that our expressions may say."""


def samples() -> dict[str, set[str]]:
    """Every series that the processes can show, with its labels."""
    found: dict[str, set[str]] = {}
    for metrics in PROCESSES.values():
        for family in metrics.registry.collect():
            if not family.name.startswith("crosspoint_"):
                continue
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = set(metrics.labels[name])
            if family.type in ("histogram", "summary"):
                found |= {f"{name}_sum": labels, f"{name}_count": labels}
            if family.type == "histogram":
                found[f"{name}_bucket"] = labels | {"le"}
            if family.type in ("counter", "gauge"):
                found[name] = labels
    return found


SERIES = samples()


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    drawn = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + drawn


@pytest.mark.parametrize("expression", expressions())
def test_expressions_name_what_exists(expression: str) -> None:
    outside = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    assert (outside.count("("), outside.count("{")) == (outside.count(")"), outside.count("}"))
    named = re.findall(r"[A-Za-z_]\w*", outside)
    series = [name for name in named if name in SERIES]
    labels = set().union(*(SERIES[name] for name in series))
    assert set(named) - set(series) - labels - WORDS == set()
    for name, selected in re.findall(r"(\w+)\{([^}]*)\}", expression):
        wanted = set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", selected))
        assert wanted <= SERIES.get(name, {"job"}), f"{name} has no such label"


def test_every_metric_is_drawn() -> None:
    """A metric that nobody looks at is not worth its cost."""
    drawn = " ".join(expressions())
    unseen = [name for name in documented() if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", drawn)]
    assert unseen == []


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Metric -> (process, labels), as the table says."""
    rows = re.findall(r"^\| `(crosspoint_\w+)` \| (\w+) \| (.+?) \| .+ \|$", OPERATIONS, re.MULTILINE)
    found = {name: (process, tuple(re.findall(r"`(\w+)`", labels))) for name, process, labels in rows}
    assert len(found) == len(rows), "a metric is documented twice"
    return found


def test_every_metric_is_documented() -> None:
    existing = {
        name: (process, labels) for process, metrics in PROCESSES.items() for name, labels in metrics.labels.items()
    }
    assert documented() == existing


def test_alerts_say_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]


def test_jobs_are_those_that_are_scraped() -> None:
    jobs = {scrape["job_name"] for scrape in SCRAPES["scrape_configs"]}
    assert jobs == {f"crosspoint-{process}" for process in PROCESSES}
    for expression in expressions():
        for job in re.findall(r'job="([^"]+)"', expression):
            assert job in jobs


def test_panels_have_titles_and_places_of_their_own() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(titles) == len(set(titles))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(places) == len(set(places))


def test_logged_lines_are_documented() -> None:
    """Those that the table names are logged somewhere."""
    section = OPERATIONS.split("### Logs")[1].split("\n## ")[0]
    source = "".join(path.read_text() for path in (ROOT / "offchain").rglob("*.py"))
    lines = re.findall(r"^\| `([^`]+)` \| (debug|info|warning|error) \|", section, re.MULTILINE)
    assert len(lines) >= 7
    for line, level in lines:
        methods = f"(?:{level}|exception)" if level == "error" else level
        assert re.search(rf'log\.{methods}\(\s*"{re.escape(line)}"', source), line
