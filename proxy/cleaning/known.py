"""Secrets of others, by formats that carry their own name: a prefix that stands nowhere else, then enough disorder.

The formats are those that the issuers document and that gitleaks and detect-secrets look for, as far as they need no
look around them: their rules by key words ("password = ...") find more and cry at honest documents; see
``facts, security 3.2``. Every pattern begins where no character of its own kind stands before: that keeps it linear.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick

_WORD = "A-Za-z0-9_-"
_DISTINCT: Final = 7
"""So many different characters stand in any real one; examples are written with fewer (``ghp_xxxxxxxx``)."""


class Format(NamedTuple):
    """``marks``: a text without any of them holds none of these."""

    name: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]


def _format(name: str, marks: str, body: str, *, alphabet: str = _WORD) -> Format:
    pattern = f"(?<![{alphabet}])(?:{body})(?![{alphabet}])"
    return Format(name, tuple(marks.split()), re.compile(pattern))


_PRIVATE: Final = "private key"
_PEM: Final = "(?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----"

FORMATS: Final = (
    Format(
        _PRIVATE,
        ("PRIVATE KEY",),
        re.compile(f"-----BEGIN {_PEM}(?:[^-]|-(?!----))++(?:-----END {_PEM})?"),
    ),
    _format("1Password token", "ops_eyJ", "ops_eyJ[A-Za-z0-9+/]{200,}+={0,3}", alphabet="A-Za-z0-9+/_"),
    _format("age key", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    _format("Anthropic key", "sk-ant-", "sk-ant-[a-z]{2,8}[0-9]{2}-[A-Za-z0-9_-]{80,110}+"),
    _format("AWS access key", "AKIA ASIA ABIA ACCA", "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", alphabet="A-Za-z0-9_"),
    _format("Atlassian token", "ATATT3", "ATATT3[A-Za-z0-9_=-]{180,200}+", alphabet="A-Za-z0-9_=-"),
    _format("DigitalOcean token", "do_v1_ doo_v1_ dop_v1_ dor_v1_", "do[opr]?_v1_[a-f0-9]{64}"),
    _format("Docker token", "dckr_", "dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}+"),
    _format(
        "Doppler token",
        "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.",
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9.]{40,60}+",
        alphabet="A-Za-z0-9_.-",
    ),
    _format("Dynatrace token", "dt0c01.", r"dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    _format("Flutterwave key", "FLWSECK", "FLWSECK(?:_TEST)?-[a-h0-9]{32}-X"),
    _format("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", "gh[pousr]_[A-Za-z0-9]{36,255}+"),
    _format("GitHub token", "github_pat_", "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _format(
        "GitLab token", "glpat- gldt- glrt- glptt- glcbt- glsoat-", "gl(?:pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_-]{20,80}+"
    ),
    _format("Google key", "AIza", "AIza[A-Za-z0-9_-]{35}"),
    _format("Google OAuth secret", "GOCSPX-", "GOCSPX-[A-Za-z0-9_-]{28}"),
    _format("Google OAuth token", "ya29.", r"ya29\.[A-Za-z0-9_-]{60,}+"),
    _format(
        "Grafana token",
        "glsa_ glc_",
        "glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_eyJ[A-Za-z0-9+/]{60,400}+={0,3}",
        alphabet="A-Za-z0-9_+/",
    ),
    _format("Groq key", "gsk_", "gsk_[A-Za-z0-9]{52}"),
    _format("HashiCorp token", "hvs. hvb.", r"hv[sb]\.[A-Za-z0-9_-]{90,300}+"),
    _format("Hugging Face token", "hf_ api_org_", "(?:hf_|api_org_)[A-Za-z]{34}"),
    _format("Linear key", "lin_api_", "lin_api_[A-Za-z0-9]{40}"),
    _format("New Relic key", "NRAK-", "NRAK-[A-Z0-9]{27}"),
    _format("Notion token", "ntn_", "ntn_[0-9]{11}[A-Za-z0-9]{35}"),
    _format("npm token", "npm_", "npm_[A-Za-z0-9]{36}"),
    _format("OpenAI key", "T3BlbkFJ", "sk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,74}+", alphabet="A-Za-z0-9_-"),
    _format("Perplexity key", "pplx-", "pplx-[A-Za-z0-9]{48}"),
    _format(
        "PlanetScale token", "pscale_", r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{32,64}+", alphabet="A-Za-z0-9_.=-"
    ),
    _format("Postman key", "PMAK-", "PMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}"),
    _format("Pulumi token", "pul-", "pul-[a-f0-9]{40}"),
    _format("PyPI token", "pypi-AgE", "pypi-AgE[A-Za-z0-9_-]{50,1000}+"),
    _format("SendGrid key", "SG.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", alphabet="A-Za-z0-9_.-"),
    _format("Shopify token", "shpat_ shpca_ shppa_ shpss_", "shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _format(
        "Slack token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe",
        r"xox[abprs]-[0-9]{8,14}-[A-Za-z0-9-]{16,120}+|xoxe(?:\.xox[bp])?-1-[A-Za-z0-9]{100,170}+",
    ),
    _format("Slack token", "xapp-", "xapp-[0-9]-[A-Z0-9]+-[0-9]+-[A-Za-z0-9]{32,80}+"),
    _format(
        "Slack webhook",
        "hooks.slack.com/",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}+",
        alphabet="A-Za-z0-9",
    ),
    _format(
        "Stripe key",
        "sk_live_ rk_live_ sk_test_ rk_test_ whsec_",
        "[sr]k_(?:live|test)_[A-Za-z0-9]{20,247}+|whsec_[A-Za-z0-9]{32,64}+",
    ),
    _format("Telegram token", ":AA", "[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", alphabet="A-Za-z0-9_:-"),
    _format(
        "Twilio key",
        "SK0 SK1 SK2 SK3 SK4 SK5 SK6 SK7 SK8 SK9 SKa SKb SKc SKd SKe SKf",
        "SK[0-9a-f]{32}",
        alphabet="A-Za-z0-9_",
    ),
    _format("Vercel token", "vcp_ vci_ vca_", "vc[pia]_[A-Za-z0-9]{56}"),
    _format("xAI key", "xai-", "xai-[A-Za-z0-9]{80}"),
)

MARKS: Final = tuple(sorted({mark for one in FORMATS for mark in one.marks}))


_FIND: Final = AhoCorasick(MARKS)
_BY_MARK: Final = tuple(tuple(one for one in FORMATS if mark in one.marks) for mark in MARKS)


class Known(NamedTuple):
    name: str
    start: int
    end: int


def spans(text: str, *, whole: bool = False) -> list[Known]:
    """Where well-known secrets stand in a text, in order; of two that overlap the first.

    ``whole``: a private key only with its end, for without one it goes on to the end of the text.
    """
    marks = {mark for mark, _, _ in _FIND.find_matches_as_indexes(text)}
    if not marks:
        return []
    found = [
        Known(one.name, match.start(), match.end())
        for one in dict.fromkeys(one for mark in sorted(marks) for one in _BY_MARK[mark])
        for match in one.pattern.finditer(text)
        if _is_real(match[0]) and not (whole and one.name == _PRIVATE and not match[0].endswith("-----"))
    ]
    kept: list[Known] = []
    for span in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def masked(name: str) -> str:
    return f"«{name}»"


def _is_real(text: str) -> bool:
    """No example: those of manuals say so, or are written with a few characters over and over."""
    return "EXAMPLE" not in text and len(set(text[text.find("_") + 1 :][-32:])) >= _DISTINCT
