"""Well-known secrets go; what looks like one in a manual stays."""

from __future__ import annotations

import random
import string

import pytest

from fuseboard.cleaning.known import FORMATS, MARKS, masked, spans

CHANCE = random.Random(3)
LETTERS = string.ascii_letters + string.digits


def _of(length: int, alphabet: str = LETTERS) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(length))


HEX = string.digits + "abcdef"
UPPER = string.ascii_uppercase + string.digits
REAL = {
    "age key": f"AGE-SECRET-KEY-1{_of(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}",
    "Anthropic key": f"sk-ant-api03-{_of(93)}AA",
    "AWS access key": f"AKIA{_of(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}",
    "DigitalOcean token": f"dop_v1_{_of(64, HEX)}",
    "Docker token": f"dckr_pat_{_of(27)}",
    "GitHub token": f"ghp_{_of(36)}",
    "GitLab token": f"glpat-{_of(20)}",
    "Google key": f"AIza{_of(35)}",
    "Google OAuth secret": f"GOCSPX-{_of(28)}",
    "Groq key": f"gsk_{_of(52)}",
    "Hugging Face token": f"hf_{_of(34, string.ascii_letters)}",
    "Linear key": f"lin_api_{_of(40)}",
    "npm token": f"npm_{_of(36)}",
    "OpenAI key": f"sk-proj-{_of(20)}T3BlbkFJ{_of(20)}",
    "PyPI token": f"pypi-AgEIcHlwaS5vcmc{_of(80)}",
    "SendGrid key": f"SG.{_of(22)}.{_of(43)}",
    "Shopify token": f"shpat_{_of(32, HEX)}",
    "Slack token": f"xoxb-{_of(12, string.digits)}-{_of(12, string.digits)}-{_of(24)}",
    "Slack webhook": f"https://hooks.slack.com/services/T{_of(8, UPPER)}/B{_of(8, UPPER)}/{_of(24)}",
    "Stripe key": f"sk_live_{_of(24)}",
    "Telegram token": f"{_of(9, '123456789')}:AA{_of(33)}",
    "Twilio key": f"SK{_of(32, HEX)}",
}

LOOK_ALIKES = (
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-ant-api03-...",
    "task-12345678901234567890",
    "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "550e8400-e29b-41d4-a716-446655440000",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "xoxb-your-token",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END CERTIFICATE-----",
    "the header begins with eyJ and Bearer",
    "risk_live_and_learn_to_be_happy_every_day",
    "Zmxhc2tfbGl2ZV9hbmRfbGVhcm5fdG9fYmVfaGFwcHk=",
)


@pytest.mark.parametrize("name", REAL)
def test_a_real_one_is_found_in_the_midst_of_text(name: str) -> None:
    secret = REAL[name]
    text = f'config = "{secret}", and more'
    (found,) = spans(text)
    assert (found.name, text[found.start : found.end]) == (name, secret)


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_merely_looks_like_one_is_none(text: str) -> None:
    assert spans(text) == []


def test_a_private_key_goes_with_its_body_or_with_what_is_left_of_it() -> None:
    body = "\n".join(_of(64) for _ in range(8))
    whole = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    (found,) = spans(f"a {whole} b")
    assert (found.start, found.end) == (2, 2 + len(whole))
    (found,) = spans(whole[:300])
    assert found.end == 300


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_masking_is_final_and_marks_are_due(one) -> None:  # type: ignore[no-untyped-def]
    assert spans(masked(one.name)) == []
    assert one.marks
    assert set(one.marks) <= set(MARKS)
