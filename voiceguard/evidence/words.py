# ruff: noqa: RUF001 - Chinese has its own punctuation
"""The words of a report, English and Simplified Chinese side by side, so that none lacks one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "zh"]

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

HTML_LANGUAGES: Final[Mapping[Language, str]] = {"en": "en", "zh": "zh-Hans"}
"""As the attribute `lang` has them (BCP 47)."""

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    # ---- the page ----
    "report": ("Evidence report", "证据报告"),
    "subject": ("Monitoring of one call", "单次通话监测"),
    "other_language": ("中文版", "English version"),
    "session": ("Session", "会话"),
    "none": ("none", "无"),
    "not_given": ("not given", "未提供"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "table_empty": ("No entries.", "无记录。"),
    "channel": ("channel {number}", "声道 {number}"),
    "bytes": ("{number} bytes", "{number} 字节"),
    "days": ("{number} days", "{number} 天"),
    "seconds": ("{number} s", "{number} 秒"),
    # ---- in short ----
    "in_short": ("In short", "摘要"),
    "short_flagged": (
        (
            "This session was marked high-sensitivity {at} into the call, at a pressure index of "
            "{index}."
        ),
        "本会话在通话进行到 {at} 时被标记为高敏感，当时压力指数为 {index}。",
    ),
    "short_not_flagged": (
        "This session was not marked high-sensitivity.",
        "本会话未被标记为高敏感。",
    ),
    "short_handoffs": (
        "A human was asked for {count} time(s); the last answer on record: {outcome}.",
        "系统请求转人工 {count} 次；记录中的最后一次应答：{outcome}。",
    ),
    "short_no_handoffs": ("No human was asked for.", "系统未请求转人工。"),
    "short_verdict": (
        "A reviewer’s newest verdict: {verdict}.",
        "质检员的最新结论：{verdict}。",
    ),
    "short_no_verdict": ("No reviewer has given a verdict yet.", "尚无质检结论。"),
    "short_open": (
        (
            "The session was not closed when this report was written, or it was cut off: its "
            "totals are not known."
        ),
        "生成本报告时会话尚未结束，或已中断：没有汇总数据。",
    ),
    "peak_index": ("Highest index", "最高指数"),
    "mean_index": ("Mean index", "平均指数"),
    "highest_level": ("Highest level", "最高等级"),
    "duration": ("Length of the call", "通话时长"),
    "customer_speech": ("Customer’s speech", "客户语音时长"),
    "audio_missing": ("Audio missing", "缺失音频"),
    "windows_missed": ("Windows not scored under load", "因过载未评分的窗口"),
    "handoffs_asked": ("Handoffs asked for", "请求转人工次数"),
    # ---- the timeline ----
    "timeline": ("The pressure index over the call", "通话过程中的压力指数"),
    "timeline_caption": (
        (
            "The index (0 to 100) moves only while the customer speaks. The strip below each curve "
            "is the alert level; the blue bars are the customer’s speech. Numbers are those of the "
            "tables below."
        ),
        (
            "压力指数（0 至 100）仅在客户说话时变化。曲线下方的色带为告警等级，蓝色条为客户语音。"
            "编号与下方各表一致。"
        ),
    ),
    "time_in_call": ("time in the call", "通话内时间"),
    "pressure_index": ("pressure index", "压力指数"),
    "threshold": ("threshold of a level", "等级阈值"),
    "speech": ("customer’s speech", "客户语音"),
    "level_raised": ("level raised", "等级上升"),
    "handoff": ("handoff requested", "请求转人工"),
    "flagged": ("marked high-sensitivity", "标记为高敏感"),
    "gap": ("audio missing", "音频缺失"),
    "no_speech": ("no speech was scored", "没有可评分的语音"),
    "picture_title": (
        "Pressure index of session {session}",
        "会话 {session} 的压力指数",
    ),
    "picture_about": (
        "A call of {duration}. Highest index {peak}, highest level {level}.",
        "通话时长 {duration}。最高指数 {peak}，最高等级：{level}。",
    ),
    "picture_flag": ("Marked high-sensitivity at {at}.", "于 {at} 标记为高敏感。"),
    "picture_handoffs": ("Handoffs requested at {times}.", "于 {times} 请求转人工。"),
    "picture_gaps": ("Audio missing at {times}.", "于 {times} 处音频缺失。"),
    # ---- levels, roles, outcomes ----
    "green": ("green", "绿色"),
    "yellow": ("yellow", "黄色"),
    "orange": ("orange", "橙色"),
    "red": ("red", "红色"),
    "never": ("never", "从不"),
    "customer": ("customer", "客户"),
    "human_agent": ("human agent", "人工坐席"),
    "automated_agent": ("automated agent", "机器人坐席"),
    "mixed": ("both sides mixed", "双方混音"),
    "anger": ("anger", "愤怒"),
    "distress": ("distress", "痛苦"),
    "arousal": ("arousal", "唤醒度"),
    "valence": ("valence", "效价"),
    "pressure": ("anger and distress together", "愤怒与痛苦兼有"),
    "accepted": ("accepted", "已接受"),
    "transferred": ("transferred to a human", "已转接人工"),
    "declined": ("declined", "已拒绝"),
    "failed": ("failed", "失败"),
    "expired": ("nobody answered in time", "逾期无人应答"),
    "unanswered": ("no answer on record", "无应答记录"),
    "confirmed": ("confirmed: a human was needed", "确认：确需人工介入"),
    "false_alarm": ("false alarm: no human was needed", "误报：无需人工介入"),
    "unsure": ("unsure: cannot be told", "存疑：无法判断"),
    "viewed": ("looked at it", "查看"),
    "heard": ("played audio", "播放录音"),
    "exported": ("exported the evidence", "导出证据"),
    "held": ("placed a legal hold", "设置法律保留"),
    "released": ("released the legal hold", "解除法律保留"),
    "completed": ("completed", "正常结束"),
    "abandoned": ("the client did not come back", "客户端断线后未重连"),
    "interrupted": ("the server broke off", "服务器中断"),
    # ---- what happened ----
    "happened": ("What happened", "经过"),
    "handoffs": ("Handoffs", "转人工请求"),
    "changes": ("Alert levels", "告警等级变化"),
    "flag": ("High-sensitivity mark", "高敏感标记"),
    "gaps": ("Missing audio", "音频缺失"),
    "number": ("No.", "编号"),
    "at": ("In the call", "通话内时间"),
    "recorded": ("Recorded", "记录时间"),
    "reason": ("What carried it", "主要成因"),
    "index": ("Index", "指数"),
    "answers": ("Acknowledgement and outcome", "应答与结果"),
    "explanation": ("Explanation, as recorded", "系统说明（原文）"),
    "level": ("Level", "等级"),
    "from_level": ("from {level}", "原为{level}"),
    "threshold_crossed": ("Threshold", "阈值"),
    "scores": ("Scores of the model (0 to 1)", "模型评分（0 至 1）"),
    "until": ("Until", "至"),
    "length": ("Length", "时长"),
    # ---- reviews ----
    "reviews": ("Reviews", "人工质检"),
    "verdict": ("Verdict", "结论"),
    "about": ("About", "对象"),
    "whole_session": ("the whole session", "整个会话"),
    "about_handoff": ("handoff {number}", "第 {number} 次转人工"),
    "comment": ("Comment", "备注"),
    "reviewer": ("Reviewer", "质检员"),
    "access": ("Who had access", "访问记录"),
    "actor": ("Who", "人员"),
    "action": ("What", "操作"),
    "detail": ("Detail", "详情"),
    # ---- the call ----
    "call": ("The call and consent", "通话与同意"),
    "tenant": ("Tenant", "租户"),
    "call_id": ("Call", "通话编号"),
    "campaign": ("Campaign", "催收批次"),
    "agent_id": ("Agent", "坐席编号"),
    "pseudonym": ("Customer (pseudonym of the number)", "客户（号码的去标识化标识）"),
    "time_zone": ("Customer’s time zone", "客户所在时区"),
    "call_started": ("Call started, as the client said", "通话开始时间（客户端提供）"),
    "opened": ("Monitoring opened", "监测开始"),
    "closed": ("Monitoring closed", "监测结束"),
    "ended": ("How it ended", "结束方式"),
    "channels": ("Channels", "声道"),
    "encoding": ("Sent as", "音频格式"),
    "consent": ("Consent to being analysed", "是否同意分析"),
    "consent_given": ("given", "已同意"),
    "consent_refused": ("refused", "已拒绝"),
    "consent_not_required": ("not required", "无需同意"),
    "consent_unspecified": ("not stated", "未说明"),
    "notice": ("Notice given", "是否已告知"),
    "lawful_basis": ("Lawful basis", "合法性基础"),
    "labels": ("Labels", "标签"),
    # ---- what decided ----
    "decided": ("What decided it", "判定依据"),
    "decided_about": (
        (
            "A program decided, by these thresholds and this model; no person took part before the "
            "first answer to a handoff."
        ),
        "以上由程序依据下列阈值和模型判定；在转人工请求首次得到应答之前，没有人参与判定。",
    ),
    "policy": ("Policy", "策略"),
    "model": ("Model", "模型"),
    "sha256": ("SHA-256", "SHA-256 摘要"),
    "raise_at": ("Raised at", "触发阈值"),
    "clear_at": ("Cleared below", "解除阈值"),
    "hold_s": ("Held for", "持续时间"),
    "minimum_speech": ("Speech needed first", "最少语音时长"),
    "handoff_level": ("Level that asks for a human", "请求转人工的等级"),
    "flag_level": ("Level that marks the session", "标记高敏感的等级"),
    "retention": ("Kept for", "保存期限"),
    # ---- the evidence ----
    "evidence": ("The evidence", "证据固定"),
    "audio": ("Audio", "录音"),
    "audio_none": ("No audio is kept of this session.", "本会话未保存录音。"),
    "audio_file": ("File", "文件"),
    "audio_complete": ("All that was received", "是否为收到的全部音频"),
    "audio_lost": ("Missing from it", "其中缺失"),
    "log": ("Evidence log", "证据日志"),
    "origin": ("Name of the log", "日志名称"),
    "evidence_id": ("Evidence id of the session", "会话的证据编号"),
    "leaves": ("Leaves of this session in the log", "本会话在日志中的叶节点"),
    "leaf_kind": ("About", "内容"),
    "leaf_count": ("Leaves", "数量"),
    "leaf_numbers": ("Numbers in the log", "日志序号"),
    "leaf_times": ("Written", "写入时间"),
    "leaf_opened": ("session opened", "会话开始"),
    "leaf_events": ("events", "事件"),
    "leaf_closed": ("session closed", "会话结束"),
    "leaf_audio": ("digest of the audio", "录音摘要"),
    "leaf_verdict": ("verdicts", "质检结论"),
    "leaf_accessed": ("accesses", "访问"),
    "leaf_held": ("legal hold placed", "设置法律保留"),
    "leaf_released": ("legal hold released", "解除法律保留"),
    "leaf_erased": ("session erased", "会话删除"),
    "leaf_exported": ("evidence exported", "证据导出"),
    "verify": ("How to check it", "如何验证"),
    "verify_about": (
        (
            "This page is one file of an evidence bundle, made for people to read. On its own it "
            "proves nothing: anybody can write a page. Check the bundle, with the operator’s "
            "public key as you got it some other way than with the bundle:"
        ),
        (
            "本页面是证据包中供人阅读的一个文件，其本身不能证明任何事情：任何人都能写出一个网页。"
            "请使用通过其他途径取得的运营方公钥验证整个证据包："
        ),
    ),
    "verify_result": (
        (
            "The check needs no network and no help of the operator. It computes every digest "
            "again and follows each leaf’s inclusion proof to the signed checkpoint. A changed "
            "byte, a missing leaf or a replaced piece of audio is refused, and the check says "
            "which it was."
        ),
        (
            "验证无需联网，也无需运营方协助。程序会重新计算全部摘要，并沿每个叶节点的包含证明追溯至"
            "已签名的检查点。任何字节被改动、叶节点缺失或录音片段被替换，均不能通过验证，并会指明"
            "问题所在。"
        ),
    ),
    # ---- what it shows ----
    "worth": ("What this shows, and what it cannot", "本报告能证明什么，不能证明什么"),
    "shows": ("If the bundle verifies, it shows", "若证据包通过验证，则能证明"),
    "shows_record": (
        (
            "that the holder of the log’s key recorded these events, this audio, this policy and "
            "this model’s identity, in the order of their numbers in the log;"
        ),
        "证据日志的密钥持有者按日志序号的先后，记录了上述事件、录音、策略以及模型的标识；",
    ),
    "shows_unchanged": (
        (
            "that nothing of it was changed, left out or put in afterwards, reaching back to the "
            "oldest checkpoint or timestamp that somebody other than the operator holds."
        ),
        "自运营方以外的第三方所持有的最早检查点或时间戳起，上述内容未被更改、删除或插入。",
    ),
    "cannot": ("It cannot show", "不能证明"),
    "cannot_person": (
        (
            "what anybody felt or meant. The index says how a voice sounded. It is a reason to "
            "bring in a human, not a judgement of a person, and must not be used to score, rank or "
            "decide about anybody;"
        ),
        (
            "任何人的真实感受或意图。指数只反映声音听起来如何，是请人工介入的理由，不是对人的评判，"
            "不得用于对任何人评分、排名或作出决定；"
        ),
    ),
    "cannot_model": (
        (
            "that the model was right. It was trained and measured on acted speech; real callers, "
            "other languages and other lines differ. It hears how something is said, not what;"
        ),
        (
            "模型的判断正确。模型以表演语音训练和测评，真实来电者、其他语言和其他线路与之不同。"
            "模型听的是怎么说，而不是说什么；"
        ),
    ),
    "cannot_origin": (
        (
            "who spoke, or that the audio was unaltered before it reached the server. What the "
            "client said of the call and of consent is its own statement. Times are of the "
            "server’s clock;"
        ),
        (
            "说话人的身份，或音频在到达服务器之前未被改动。通话信息和同意情况均为客户端自行申报，"
            "时间取自服务器时钟；"
        ),
    ),
    "cannot_alone": (
        (
            "more than the operator’s own word, where the operator alone keeps the log: an "
            "interested party who holds the key could have recorded falsehoods from the start, or "
            "kept two logs. A witness or a timestamp from outside is what helps."
        ),
        (
            "超出运营方自述的内容——如果日志仅由运营方自行保管：运营方是利害关系人并持有密钥，可能"
            "从一开始就记录了不实内容，或同时维护两套日志。由外部第三方见证或加盖可信时间戳，"
            "才能增强证明力。"
        ),
    ),
}
"""Each text by its name: English, Chinese. Braces are filled in by `word`."""


def word(name: str, language: Language, **values: object) -> str:
    """Return a text as plain text, with `values` filled in.

    Raises:
        KeyError: there is none of that name, or a value is missing.
    """
    english, chinese = WORDS[name]
    match language:
        case "en":
            return english.format(**values)
        case "zh":
            return chinese.format(**values)


def word_or_name(name: str, language: Language, prefix: str = "") -> str:
    """Return the text of a name that came from outside; the name itself where there is none."""
    known = f"{prefix}{name}"
    return word(known, language) if known in WORDS else name
