"""A session's evidence as one page that a person can read, in English or Chinese.

The page asks for nothing from outside and has no script: its content security policy allows its
own style sheet by digest, and nothing else. The same facts always give the same page.
"""

from __future__ import annotations

import base64
import hashlib
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voiceguard.evidence.facts import Handoff, LeafRange, LevelChange, ReportFacts, Verdict
from voiceguard.evidence.markup import (
    definitions,
    foreign,
    moment,
    offset,
    table,
    text,
    zone_of,
)
from voiceguard.evidence.payloads import facts_from_payloads
from voiceguard.evidence.style import PAGE_STYLE
from voiceguard.evidence.timeline import LEVEL_COLOURS, render_timeline
from voiceguard.evidence.words import HTML_LANGUAGES, Language, word, word_or_name

__all__ = ["ReportFacts", "facts_from_payloads", "render_report", "render_timeline"]

REPORT_FILES: Final[Mapping[Language, str]] = {"en": "report.en.html", "zh": "report.zh.html"}
"""Names in a bundle; each page links to the other."""

_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(PAGE_STYLE.encode()).digest()).decode()

_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'"
)
"""Content Security Policy Level 3: the one style sheet, and nothing else."""


def render_report(facts: ReportFacts, language: Language) -> str:
    """Return the page, a whole HTML document.

    Args:
        facts: of the session.
        language: of the page; what was recorded stays as it was.

    Raises:
        OverflowError, ValueError: a recorded time is none that a calendar has.
    """
    page = _Page(facts, language, zone_of(facts.call.time_zone))
    title = f"{page.say('report')}: {page.say('session')} {facts.session_id}"
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="{HTML_LANGUAGES[language]}"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{PAGE_STYLE}</style></head><body>",
            *page.header(),
            "<main>",
            *page.summary(),
            *page.timeline(),
            *page.happenings(),
            *page.reviews(),
            *page.call(),
            *page.decision(),
            *page.evidence(),
            *page.worth(),
            "</main></body></html>",
            "",
        )
    )


@dataclass(frozen=True, slots=True)
class _Page:
    """The sections of one page, each as lines of HTML."""

    facts: ReportFacts
    language: Language
    zone: zoneinfo.ZoneInfo | None

    def say(self, name: str, **values: object) -> str:
        """Return a text of the page, plain."""
        return word(name, self.language, **values)

    def header(self) -> Iterator[str]:
        """Return whose report it is."""
        facts = self.facts
        other: Language = "zh" if self.language == "en" else "en"
        yield f'<header><div><p class="kicker">voiceguard · {text(self.say("report"))}</p>'
        yield f"<h1>{text(self.say('session'))} {foreign(facts.session_id)}</h1></div>"
        link = f'<a class="other" href="{REPORT_FILES[other]}">{text(self.say("other_language"))}'
        yield f'<p class="when">{self._when(facts.opened_at_ms)}{link}</a></p></header>'

    def summary(self) -> Iterator[str]:
        """Return the session in a few sentences and figures."""
        facts, summary = self.facts, self.facts.summary
        joined = "" if self.language == "zh" else " "
        yield f"<section><h2>{text(self.say('in_short'))}</h2>"
        yield f'<p class="short">{joined.join(text(line) for line in self._sentences())}</p>'
        unknown = self.say("not_given")
        figures = (
            ("peak_index", text(f"{facts.peak_index:.1f}")),
            ("highest_level", self._level(facts.peak_level)),
            ("mean_index", text(unknown if summary is None else f"{summary.mean_index:.1f}")),
            ("handoffs_asked", str(len(facts.handoffs))),
            ("duration", offset(facts.duration_s)),
            (
                "customer_speech",
                text(unknown) if summary is None else offset(summary.customer_speech_s),
            ),
            (
                "audio_missing",
                self._seconds(sum(gap.end_s - gap.start_s for gap in facts.gaps)),
            ),
            ("windows_missed", text(unknown if summary is None else summary.windows_missed)),
        )
        boxes = (
            f"<div><dt>{text(self.say(name))}</dt><dd>{value}</dd></div>" for name, value in figures
        )
        yield f'<dl class="figures">{"".join(boxes)}</dl></section>'

    def timeline(self) -> Iterator[str]:
        """Return the drawing."""
        yield f"<section><h2>{text(self.say('timeline'))}</h2><figure>"
        yield render_timeline(self.facts, self.language, style=False)
        yield f"<figcaption>{text(self.say('timeline_caption'))}</figcaption></figure></section>"

    def happenings(self) -> Iterator[str]:
        """Return handoffs, the flag, changes of level and gaps."""
        facts = self.facts
        yield f"<section><h2>{text(self.say('happened'))}</h2>"
        yield self._table(
            "handoffs",
            ("number", "at", "recorded", "reason", "index", "answers", "explanation"),
            (self._handoff(n, handoff) for n, handoff in enumerate(facts.handoffs, 1)),
        )
        flags = () if facts.flag is None else (facts.flag,)
        yield self._table(
            "flag",
            ("at", "recorded", "index", "explanation"),
            (
                (offset(f.at_s), self._when(f.at_ms), f"{f.index:.1f}", foreign(f.reason))
                for f in flags
            ),
        )
        yield self._table(
            "changes",
            ("at", "recorded", "level", "index", "threshold_crossed", "scores"),
            (self._change(change) for change in facts.changes),
        )
        yield self._table(
            "gaps",
            ("at", "until", "length"),
            (
                (offset(g.start_s), offset(g.end_s), self._seconds(g.end_s - g.start_s))
                for g in facts.gaps
            ),
        )
        yield "</section>"

    def reviews(self) -> Iterator[str]:
        """Return verdicts and accesses."""
        yield f"<section><h2>{text(self.say('reviews'))}</h2>"
        yield self._table(
            "verdict",
            ("recorded", "verdict", "about", "reviewer", "comment"),
            (self._verdict(verdict) for verdict in self.facts.verdicts),
        )
        yield self._table(
            "access",
            ("recorded", "actor", "action", "detail"),
            (
                (
                    self._when(entry.at_ms),
                    foreign(entry.actor),
                    text(word_or_name(entry.action, self.language)),
                    foreign(entry.detail),
                )
                for entry in self.facts.accesses
            ),
        )
        yield "</section>"

    def call(self) -> Iterator[str]:
        """Return what the client said of the call, and of consent."""
        facts, call, summary = self.facts, self.facts.call, self.facts.summary
        none = text(self.say("not_given"))
        roles = "; ".join(
            f"{self.say('channel', number=number)}: {word_or_name(role, self.language)}"
            for number, role in enumerate(facts.roles)
        )
        started, ended = call.started_at_ms, "" if summary is None else summary.ended
        labels = "; ".join(f"{name} = {value}" for name, value in call.labels.items())
        consent = word_or_name(call.consent_state, self.language, "consent_")
        entries = (
            ("tenant", foreign(facts.tenant)),
            ("call_id", foreign(call.call_id) if call.call_id else none),
            ("campaign", foreign(call.campaign) if call.campaign else none),
            ("agent_id", foreign(call.agent_id) if call.agent_id else none),
            ("pseudonym", self._digest(call.customer) if call.customer else none),
            ("time_zone", foreign(call.time_zone) if call.time_zone else none),
            ("call_started", none if started is None else self._when(started)),
            ("opened", self._when(facts.opened_at_ms)),
            ("closed", none if summary is None else self._when(summary.closed_at_ms)),
            ("ended", text(word_or_name(ended, self.language)) if ended else none),
            ("channels", text(roles)),
            ("encoding", text(f"{facts.encoding}, {facts.sample_rate_hz} Hz")),
            ("consent", text(consent)),
            ("notice", text(self.say("yes" if call.notice_given else "no"))),
            ("lawful_basis", foreign(call.lawful_basis) if call.lawful_basis else none),
            ("labels", foreign(labels) if labels else text(self.say("none"))),
        )
        yield f"<section><h2>{text(self.say('call'))}</h2>{self._definitions(entries)}</section>"

    def decision(self) -> Iterator[str]:
        """Return the policy and the model."""
        facts, policy = self.facts, self.facts.policy
        yield f"<section><h2>{text(self.say('decided'))}</h2>"
        yield f"<p>{text(self.say('decided_about'))}</p>"
        yield self._table(
            "policy",
            ("level", "raise_at", "clear_at", "hold_s", "minimum_speech"),
            (
                (
                    self._level(item.level),
                    f"{item.raise_at:g}",
                    f"{item.clear_at:g}",
                    self._seconds(item.hold_s),
                    self._seconds(item.minimum_speech_s),
                )
                for item in policy.thresholds
            ),
        )
        retention = self.say("days", number=f"{facts.retention_days:g}")
        entries = (
            ("policy", foreign(policy.version)),
            ("sha256", self._digest(policy.sha256)),
            ("handoff_level", text(word_or_name(policy.handoff_level, self.language))),
            ("flag_level", text(word_or_name(policy.flag_level, self.language))),
            ("retention", text(retention)),
            ("model", foreign(facts.model_version)),
            ("sha256", self._digest(facts.model_sha256)),
        )
        yield f"{self._definitions(entries)}</section>"

    def evidence(self) -> Iterator[str]:
        """Return the audio's digest, the leaves, and how to check them."""
        facts, audio = self.facts, self.facts.audio
        yield f"<section><h2>{text(self.say('evidence'))}</h2><h3>{text(self.say('audio'))}</h3>"
        if audio is None:
            yield f'<p class="quiet">{text(self.say("audio_none"))}</p>'
        else:
            size = self.say("bytes", number=f"{audio.bytes_:,}")
            entries = (
                ("audio_file", text(f"audio.flac, {size}")),
                ("sha256", self._digest(audio.sha256)),
                ("length", offset(audio.duration_s)),
                ("audio_complete", text(self.say("yes" if audio.complete else "no"))),
                ("audio_lost", self._seconds(audio.missing_s)),
            )
            yield self._definitions(entries)
        yield f"<h3>{text(self.say('log'))}</h3>"
        entries_of_log = (
            ("origin", foreign(facts.origin)),
            ("evidence_id", self._digest(facts.evidence_id)),
        )
        yield self._definitions(entries_of_log)
        yield self._table(
            "leaves",
            ("leaf_kind", "leaf_count", "leaf_numbers", "leaf_times"),
            (self._leaf_range(found) for found in facts.leaves),
        )
        yield f"<h3>{text(self.say('verify'))}</h3><p>{text(self.say('verify_about'))}</p>"
        yield "<pre><code>voiceguard evidence verify BUNDLE.zip --key PUBLIC_KEY</code></pre>"
        yield f"<p>{text(self.say('verify_result'))}</p></section>"

    def worth(self) -> Iterator[str]:
        """Return what the report shows and what it cannot."""
        yield f"<section><h2>{text(self.say('worth'))}</h2>"
        for name, lines in (
            ("shows", ("shows_record", "shows_unchanged")),
            ("cannot", ("cannot_person", "cannot_model", "cannot_origin", "cannot_alone")),
        ):
            items = "".join(f"<li>{text(self.say(line))}</li>" for line in lines)
            yield f"<h3>{text(self.say(name))}</h3><ul>{items}</ul>"
        yield "</section>"

    # ---- the pieces of the sections ----

    def _sentences(self) -> Iterator[str]:
        facts = self.facts
        if facts.summary is None:
            yield self.say("short_open")
        if facts.flag is None:
            yield self.say("short_not_flagged")
        else:
            index = f"{facts.flag.index:.1f}"
            yield self.say("short_flagged", at=offset(facts.flag.at_s), index=index)
        if facts.handoffs:
            answers = facts.handoffs[-1].settlements
            outcome = answers[-1].outcome if answers else "unanswered"
            said = word_or_name(outcome, self.language)
            yield self.say("short_handoffs", count=len(facts.handoffs), outcome=said)
        else:
            yield self.say("short_no_handoffs")
        if facts.verdicts:
            verdict = word_or_name(facts.verdicts[-1].kind, self.language)
            yield self.say("short_verdict", verdict=verdict)
        else:
            yield self.say("short_no_verdict")

    def _handoff(self, number: int, handoff: Handoff) -> tuple[str, ...]:
        answers = "".join(
            f'<span class="answer">{text(word_or_name(answer.outcome, self.language))}'
            f"{self._reason(answer.reason)}{self._when(answer.at_ms)}</span>"
            for answer in handoff.settlements
        )
        return (
            f'<span class="no">{number}</span>',
            offset(handoff.at_s),
            self._when(handoff.at_ms),
            text(word_or_name(handoff.reason, self.language)),
            f"{handoff.index:.1f}",
            answers or text(self.say("unanswered")),
            foreign(handoff.explanation),
        )

    def _reason(self, reason: str) -> str:
        return f" · {foreign(reason)}" if reason else ""

    def _change(self, change: LevelChange) -> tuple[str, ...]:
        was = self.say("from_level", level=word_or_name(change.previous_level, self.language))
        scores = "; ".join(
            f"{word_or_name(name, self.language)} {value:.2f}"
            for name, value in change.scores.items()
        )
        return (
            offset(change.at_s),
            self._when(change.at_ms),
            f'{self._level(change.level)} <span class="quiet">{text(was)}</span>',
            f"{change.index:.1f}",
            f"{change.threshold:g}",
            text(scores or self.say("none")),
        )

    def _verdict(self, verdict: Verdict) -> tuple[str, ...]:
        numbers = {handoff.handoff_id: n for n, handoff in enumerate(self.facts.handoffs, 1)}
        number = numbers.get(verdict.handoff_id)
        about = (
            self.say("about_handoff", number=number)
            if number is not None
            else verdict.handoff_id or self.say("whole_session")
        )
        return (
            self._when(verdict.at_ms),
            text(word_or_name(verdict.kind, self.language)),
            foreign(about),
            foreign(verdict.reviewer),
            foreign(verdict.comment),
        )

    def _leaf_range(self, found: LeafRange) -> tuple[str, ...]:
        first, last = f"{found.first_index}", f"{found.last_index}"
        times = [self._when(found.first_at_ms)]
        if found.count > 1:
            times.append(self._when(found.last_at_ms))
        return (
            text(word_or_name(found.kind, self.language, "leaf_")),
            str(found.count),
            first if found.count == 1 else f"{first}\N{EN DASH}{last}",
            "".join(f'<span class="answer">{at}</span>' for at in times),
        )

    def _table(self, title: str, headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
        names = [self.say(name) for name in headings]
        return f"<h3>{text(self.say(title))}</h3>" + table(names, rows, self.say("table_empty"))

    def _definitions(self, entries: tuple[tuple[str, str], ...]) -> str:
        return definitions((self.say(name), value) for name, value in entries)

    def _level(self, level: str) -> str:
        kind = f" {level}" if level in LEVEL_COLOURS else ""
        return f'<span class="level{kind}">{text(word_or_name(level, self.language))}</span>'

    def _seconds(self, seconds: float) -> str:
        return text(self.say("seconds", number=f"{seconds:.1f}"))

    def _digest(self, digest: str) -> str:
        return f'<span class="digest">{text(digest)}</span>'

    def _when(self, at_ms: int) -> str:
        return moment(at_ms, self.zone)
