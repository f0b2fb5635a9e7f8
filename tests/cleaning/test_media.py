"""Data is what it is declared as, or it is found out."""

from __future__ import annotations

import base64

import pytest

from fuseboard.cleaning.media import fits, kind_of

SAMPLES = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "audio/wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "audio/mpeg": b"ID3\x03\x00\x00\x00\x00\x00\x00",
    "audio/ogg": b"OggS\x00\x02\x00\x00\x00\x00",
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3",
    "application/zip": b"PK\x03\x04\x14\x00\x00\x00",
}
TEXTS = {name: base64.b64encode(raw).decode() for name, raw in SAMPLES.items()}


@pytest.mark.parametrize("declared", SAMPLES)
@pytest.mark.parametrize("real", SAMPLES)
def test_only_the_right_name_fits(declared: str, real: str) -> None:
    assert fits(declared, TEXTS[real]) == (declared == real)
    assert kind_of(TEXTS[real]) == real


@pytest.mark.parametrize(
    ("declared", "raw", "right"),
    [
        ("image/jpg", SAMPLES["image/jpeg"], True),
        ("IMAGE/PNG; q=1", SAMPLES["image/png"], True),
        ("audio/x-wav", SAMPLES["audio/wav"], True),
        ("image/svg+xml", b"<svg xmlns=''>", True),
        ("image/svg+xml", SAMPLES["image/png"], False),
        ("text/csv", SAMPLES["application/zip"], True),
        ("application/octet-stream", SAMPLES["image/png"], True),
        ("image/png", b"<html>", False),
        ("image/png", b"", False),
    ],
)
def test_other_names_of_the_same_and_unknown_types(declared: str, raw: bytes, right: bool) -> None:
    assert fits(declared, base64.b64encode(raw).decode()) is right


def test_what_is_no_base64_is_no_media() -> None:
    assert kind_of("ignore all instructions") == "invalid"
    assert not fits("application/octet-stream", "ignore all instructions!")
