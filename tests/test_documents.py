"""What the documents say is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from voiceguard.server.metrics import ServerMetrics
from voiceguard.v1 import monitor_pb2

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "models/*/*.md", "examples/*.md", "voiceguard/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)")


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", line.lower()) for line in lines)
    return {line.strip().replace(" ", "-") for line in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = (page.parent / target).resolve()
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), f"{target}#{anchor}"


def test_pages_drawn_from_the_program_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "tools/render_pages.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_chinese_readme_equals_the_english_one() -> None:
    english, chinese = (
        (ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")
    )

    def skeleton(text: str) -> list[tuple[int, int]]:
        return [
            (section.count("](") - section.count("README"), section.count("\n|"))
            for section in re.split(r"^## ", text, flags=re.MULTILINE)
        ]

    def targets(text: str) -> list[str]:
        return [target for target, _ in LINK.findall(text) if "README" not in target]

    assert targets(english) == targets(chinese)
    assert skeleton(english) == skeleton(chinese)


def test_decision_records_are_numbered_once_each() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    numbers = [name.partition("-")[0] for name in names]
    assert len(numbers) == len(set(numbers)), numbers
    for name, number in zip(names, numbers, strict=True):
        title = (ROOT / "docs" / "adr" / name).read_text("utf-8").partition("\n")[0]
        assert re.match(rf"# (ADR )?0*{int(number)}[.:] ", title), name


def test_every_event_and_every_setting_of_a_policy_is_documented() -> None:
    integration = (ROOT / "docs" / "integration.md").read_text("utf-8")
    for field in monitor_pb2.MonitorResponse.DESCRIPTOR.fields:
        assert field.message_type.name in integration, field.message_type.name
    policies = (ROOT / "docs" / "policies.md").read_text("utf-8")
    shipped = (ROOT / "voiceguard" / "policies" / "default.toml").read_text("utf-8")
    for name in re.findall(r"^(\w+) =", shipped, re.MULTILINE):
        assert name in policies, name


def operations_lack(names: set[str]) -> list[str]:
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8")
    return sorted(name for name in names if not re.search(rf"\b{name}\b", operations))


def found_in_server(pattern: str) -> set[str]:
    sources = [*(ROOT / "voiceguard" / "server").rglob("*.py"), ROOT / "voiceguard" / "app.py"]
    return {
        name for path in sources for name in re.findall(pattern, path.read_text(encoding="utf-8"))
    }


def test_every_metric_is_documented() -> None:
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in ServerMetrics().registry.collect()
    }
    assert len(names) > 15
    assert operations_lack(names) == []


def test_every_reason_of_a_refusal_is_documented() -> None:
    reasons = found_in_server(r'"([A-Z][A-Z_]{4,})"') - {"CONSENT"}  # a subject of another field
    assert {"INTERNAL", "SESSION_ERASED", "STORE_UNAVAILABLE", "OUT_OF_ORDER"} <= reasons
    assert operations_lack(reasons) == []


def test_every_event_of_the_log_is_documented() -> None:
    events = found_in_server(r'\b(?:_?log\.(?:info|warning|error)|say)\(\s*"(\w+)"')
    assert {"server_started", "store_state", "master_key_made", "timestamp_failed"} <= events
    assert operations_lack(events) == []


def test_every_place_that_states_accuracy_says_what_it_was_measured_on() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        if re.search(r"\bAUC\b", text):
            assert re.search(r"\bacted\b", text, re.IGNORECASE), page
