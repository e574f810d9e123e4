"""Secrets in recipes and command lines are not shown."""

from __future__ import annotations

from typing import Any

import pytest

from xaitool.masking import is_secret, masked, masked_command


@pytest.mark.parametrize("key", ["token", "hf_token", "dataset.token", "API_KEY", "api-key", "password", "credentials"])
def test_keys_of_secrets(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key", ["tokens", "drop_tokens", "key", "keys", "author", "monkey", "passwords_seen", "secretary"]
)
def test_keys_of_anything_else(key: str) -> None:
    assert not is_secret(key)


def test_values_are_hidden_wherever_they_stand() -> None:
    given: dict[str, Any] = {
        "dataset": {"use": "mine", "token": "abc", "urls": ["https://me:pw@example.org/x", "https://example.org/a@b"]},
        "explain": {"methods": [{"use": "x", "api_key": "k", "password": None, "secret": True}]},
        "seed": 1,
    }
    assert masked(given) == {
        "dataset": {"use": "mine", "token": "***", "urls": ["https://***@example.org/x", "https://example.org/a@b"]},
        "explain": {"methods": [{"use": "x", "api_key": "***", "password": None, "secret": True}]},
        "seed": 1,
    }
    assert given["dataset"]["token"] == "abc"


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("dataset.token=abc", "dataset.token=***"),
        ("--set=dataset.token=abc def", "--set=dataset.token=***"),
        ("dataset={use: mine, token: abc, n: 3}", "dataset={use: mine, token: ***, n: 3}"),
        ('dataset={"token": "a, b", "n": 3}', 'dataset={"token": ***, "n": 3}'),
        ("train.epochs=5", "train.epochs=5"),
        ("dataset.root=s3://user:pw@bucket/x", "dataset.root=s3://***@bucket/x"),
        ("recipes/token.yaml", "recipes/token.yaml"),
    ],
)
def test_command_lines(word: str, shown: str) -> None:
    assert masked_command(["xaitool", "run", "--set", word]) == ["xaitool", "run", "--set", shown]
