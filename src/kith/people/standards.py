"""Terms and Community Standards in plain words: data, versioned, readable at 13. Ids never change meaning.

A decision about an account names one of these ids and `VERSION`. A new wording gets a new version; a new
meaning gets a new id.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

VERSION: Final = "2026-11"

Group = Literal["violence", "safety", "objectionable", "service"]


class Term(msgspec.Struct, frozen=True):
    """One paragraph of the terms."""

    title: str
    text: str


class Standard(msgspec.Struct, frozen=True, kw_only=True):
    """One rule for what people do to each other.

    `severity` is where a first decision starts. `support` = people get help first, and no strike.
    """

    id: str
    group: Group
    title: str
    text: str
    severity: Literal["low", "moderate", "severe", "imminent"]
    support: bool = False


TERMS: Final = (
    Term(
        "What Kith is", "A place to write to people you know. The people who run this server keep it working and safe."
    ),
    Term(
        "What nobody here can read",
        "Only you and the people in a chat can read it. The people who run this server cannot. "
        "If you report a chat, the messages you choose to send with it can be read by trained reviewers.",
    ),
    Term(
        "Who can join",
        "You must be at least 13. We ask for month and year, and keep only an age group, never the date.",
    ),
    Term(
        "Who can reach you",
        "Nobody can write to you before you say yes. If you're under 18, adults you don't know can't reach you.",
    ),
    Term(
        "What we keep",
        "Your handle and name, your age group, your devices, who you're connected with, and which addresses you signed "
        "in from in the last 90 days. You can export all of it at any time.",
    ),
    Term(
        "Your recovery code",
        "Write it down and keep it safe. Without it and without a signed-in device, nobody can bring your chats back.",
    ),
    Term(
        "If you break the standards",
        "You are told what happened and why. Most limits end by themselves. You can ask for another person to look "
        "again within 20 days. You can always sign in, read, export, report and block.",
    ),
    Term(
        "Police and courts",
        "When the law requires it, we hand over the little that we have. We tell you, unless the law forbids it.",
    ),
    Term("Leaving", "You can stop at any time. Sign out your devices, and export your chats first if you want them."),
)

STANDARDS: Final = (
    Standard(
        id="violence-incitement",
        group="violence",
        title="Threats and violence",
        text="Don't threaten to hurt anyone, and don't ask or help others to do it.",
        severity="severe",
    ),
    Standard(
        id="dangerous-organizations",
        group="violence",
        title="Dangerous groups",
        text="Don't recruit for, praise or help groups that use violence or terror.",
        severity="severe",
    ),
    Standard(
        id="coordinating-harm",
        group="violence",
        title="Planning harm",
        text="Don't plan or promote crimes, dangerous dares, or harm to people, animals or property.",
        severity="severe",
    ),
    Standard(
        id="restricted-goods",
        group="violence",
        title="Drugs, weapons and other restricted goods",
        text="Don't sell or trade drugs, weapons or other things that the law keeps from people your age.",
        severity="moderate",
    ),
    Standard(
        id="fraud-deception",
        group="violence",
        title="Scams",
        text="Don't trick people out of money, passwords or things they own.",
        severity="moderate",
    ),
    Standard(
        id="suicide-self-injury",
        group="safety",
        title="Suicide and self-injury",
        text="If you're hurting, you won't be punished for saying so. We show where help is. Don't push others to "
        "hurt themselves.",
        severity="imminent",
        support=True,
    ),
    Standard(
        id="child-safety",
        group="safety",
        title="Sexual abuse of children",
        text="Never make, ask for, share or trade sexual images or messages of anyone under 18, and never lead a "
        "young person towards sex. It's never the young person's fault.",
        severity="imminent",
    ),
    Standard(
        id="adult-sexual-exploitation",
        group="safety",
        title="Sexual exploitation of adults",
        text="Don't share private images of anyone, don't threaten to, and don't force anyone to do anything sexual.",
        severity="severe",
    ),
    Standard(
        id="bullying-harassment",
        group="safety",
        title="Bullying and harassment",
        text="Don't shame, insult or keep bothering someone who wants to be left alone.",
        severity="moderate",
    ),
    Standard(
        id="human-exploitation",
        group="safety",
        title="Human trafficking",
        text="Don't trade people or force anyone to work, to marry or to do anything sexual.",
        severity="imminent",
    ),
    Standard(
        id="privacy-violations",
        group="safety",
        title="Private information",
        text="Don't share someone's address, school, papers or other private details without their yes.",
        severity="moderate",
    ),
    Standard(
        id="hate-speech",
        group="objectionable",
        title="Hate",
        text="Don't attack people for where they come from, what they believe, who they love, or how they were born.",
        severity="moderate",
    ),
    Standard(
        id="graphic-violence",
        group="objectionable",
        title="Graphic violence",
        text="Don't send pictures of real cruelty or bad injuries to shock people.",
        severity="low",
    ),
    Standard(
        id="adult-nudity",
        group="objectionable",
        title="Nudity and sex",
        text="Don't send sexual pictures or messages to someone who didn't ask for them.",
        severity="moderate",
    ),
    Standard(
        id="sexual-solicitation",
        group="objectionable",
        title="Asking for sex",
        text="Don't ask strangers for sexual pictures, chats or meetings, and don't offer them for money.",
        severity="moderate",
    ),
    Standard(
        id="spam",
        group="service",
        title="Spam",
        text="Don't send the same thing to many people who don't know you, or requests that people keep declining.",
        severity="low",
    ),
    Standard(
        id="impersonation",
        group="service",
        title="Pretending to be someone",
        text="Don't use the name or picture of someone else to make people believe you are them.",
        severity="moderate",
    ),
    Standard(
        id="ban-evasion",
        group="service",
        title="Getting around a limit",
        text="Don't make new accounts to get around a limit on an old one.",
        severity="moderate",
    ),
    Standard(
        id="under-13",
        group="service",
        title="Under 13",
        text="People under 13 can't have an account here yet.",
        severity="moderate",
    ),
    Standard(
        id="false-reporting",
        group="service",
        title="False reports",
        text="Don't report people to get them into trouble. A mistake is fine.",
        severity="low",
    ),
    Standard(
        id="platform-abuse",
        group="service",
        title="Breaking the service",
        text="Don't attack the server, guess people's handles by machine, or get around what keeps others safe.",
        severity="moderate",
    ),
)

BY_ID: Final = {standard.id: standard for standard in STANDARDS}
