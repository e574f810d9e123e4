"""A recipe's YAML: what it means, where it stands, what is refused, and what overrides do to it."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xaitool.errors import RecipeError
from xaitool.recipe import scalars
from xaitool.recipe.source import Source, override, override_values, parse, read


def recipe(text: str, **environment: str) -> Source:
    return parse(text, "r.yaml", environment)


def value(text: str, **environment: str) -> object:
    return recipe(f"a: {text}\n", **environment).data["a"]


def problems(text: str, **environment: str) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeError) as caught:
        recipe(text, **environment)
    return [(problem.where, problem.key, problem.message) for problem in caught.value.problems]


def the_problem(text: str, **environment: str) -> tuple[str, str, str]:
    found = problems(text, **environment)
    assert len(found) == 1, found
    return found[0]


def override_problems(source: Source, *assignments: str) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeError) as caught:
        override(source, assignments)
    return [(problem.where, problem.key, problem.message) for problem in caught.value.problems]


# What scalars mean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            ("1e-3", 0.001),
            ("1.", 1.0),
            (".5", 0.5),
            ("-1E+5", -100000.0),
            ("5.0e-4", 5e-4),
            ("+1.5", 1.5),
            ("-0.0", 0.0),
        ],
        *[(".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf), ("1e5", 100000.0), ("!!float 1", 1.0)],
        *[("0", 0), ("-7", -7), ("+7", 7), ("0o17", 15), ("0x1F", 31), ("010", 10), ("-010", -10), ('!!int "3"', 3)],
        *[("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False)],
        *[("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None), ("!!null ''", None)],
        *[(word, word) for word in ("yes", "no", "on", "off", "y", "Yes", "OFF", "tRUE", "nULL", "None", "inf", "nan")],
        *[
            (word, word)
            for word in ("1_000", "1:30", "2024-01-01", "0b11", "0O17", "0X1F", "-0x1F", "1e", ".", "e5", "=")
        ],
        *[("'1'", "1"), ('"true"', "true"), ("''", ""), ("|-\n  5", "5"), (">-\n  null", "null"), ("!!str 5", "5")],
        *[("!!bool 'true'", True), ("!!str", ""), ("٣", "٣"), ("gradcam++", "gradcam++"), ("5 # five", 5)],
        *[
            ("[1, 'b', [~]]", [1, "b", [None]]),
            ("{b: 1, c: {}}", {"b": 1, "c": {}}),
            ("!!seq [1]", [1]),
            ("!!map {}", {}),
        ],
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN", "!!float .nan"])
def test_not_a_number(text: str) -> None:
    found = value(text)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("!!int x", "'x' is no !!int"),
        ("!!int 1.5", "'1.5' is no !!int"),
        ("!!float x", "'x' is no !!float"),
        ("!!bool yes", "'yes' is no !!bool"),
        ("!!null x", "'x' is no !!null"),
        ("!!map", "!!map does not belong"),
        ("!!str [1]", "!!str does not belong"),
        ("!!seq {b: 1}", "!!seq does not belong"),
        ("!!map [b]", "!!map does not belong"),
        ("!!set {b}", "!!set does not belong"),
        ("!!omap []", "!!omap does not belong"),
        ("!!binary aGk=", "!!binary does not belong"),
        ("!!timestamp 2024-01-01", "!!timestamp does not belong"),
        ("!!merge x", "!!merge does not belong"),
        ("!foo 5", "!foo does not belong"),
        ("!<tag:example.org,2000:x> 5", "tag:example.org,2000:x does not belong"),
        ("!!python/name:os.system", "!!python/name:os.system does not belong"),
        ("9" * 5000, "more than 1000 digits"),
        ("0x" + "9" * 5000, "more than 1000 digits"),
        ("1e999", "too large"),
    ],
)
def test_a_scalar_or_tag_that_does_not_fit(text: str, says: str) -> None:
    where, key, message = the_problem(f"a: {text}")
    assert (where, key) == ("r.yaml:1:4", "a")
    assert says in message


def test_a_bare_exclamation_mark_is_refused() -> None:
    assert the_problem("a:\n- ! '5'") == ("r.yaml:2:3", "", "the tag ! does not belong here; leave it out")


def test_nothing_is_executed(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    where, key, _ = the_problem(f"x: 1\na: !!python/object/apply:os.mkdir [{touched}]")
    assert (where, key) == ("r.yaml:2:4", "a")
    assert not touched.exists()


# Environment variables


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("${A:-20}", {}, 20),
        ("${A:-20}", {"A": "1e-3"}, 0.001),
        ("${A:-20}", {"A": ""}, 20),
        ("${A:-}", {}, None),
        ("${A}", {"A": ""}, None),
        ("'${A}'", {"A": "5"}, "5"),
        ('"${A:-true}"', {}, "true"),
        ("|-\n  ${A}", {"A": "5"}, "5"),
        ("!!str ${A}", {"A": "5"}, "5"),
        ("!!int '${A}'", {"A": "5"}, 5),
        ("${A:-~/.cache/xaitool}", {}, "~/.cache/xaitool"),
        ("${A:-~/.cache/xaitool}", {"A": "/data"}, "/data"),
        ("x${A}y${_b2}", {"A": "1", "_b2": "2"}, "x1y2"),
        ("${A}", {"A": "b: 1"}, "b: 1"),
        ("${A}", {"A": "[1, 2]"}, "[1, 2]"),
        ("${A}", {"A": "5\n"}, "5\n"),
        ("${A}", {"A": "1\nb: 2"}, "1\nb: 2"),
        ("${A}", {"A": "!!python/name:os.system"}, "!!python/name:os.system"),
        ("${A}", {"A": "# no comment"}, "# no comment"),
        ("${A}", {"A": "${B}"}, "${B}"),  # what the environment says is not read again
        ("${A}", {"A": "$$"}, "$$"),
        ("$${A}", {}, "${A}"),
        ("$$5", {}, "$5"),
        ("$$$$", {}, "$$"),
        ("$$${A}", {"A": "x"}, "$x"),
        ("${A:-$$x$}", {}, "$x$"),
        ("${A:-a{b}", {}, "a{b"),
        ("a$b$", {}, "a$b$"),
        ("$A", {"A": "x"}, "$A"),
        ("['${A}']", {"A": "x"}, ["x"]),
    ],
)
def test_environment_variables(text: str, environment: dict[str, str], expected: object) -> None:
    found = value(text, **environment)
    assert found == expected
    assert type(found) is type(expected)


def test_a_key_is_never_substituted() -> None:
    assert recipe("${A}: 1\n$$: 2\n", A="x").data == {"${A}": 1, "$$": 2}


@pytest.mark.parametrize(
    "text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:b}", "${A:?b}", "${ A }", "${Ä}", "${A:-$", "'${A.b}'"]
)
def test_a_malformed_variable(text: str) -> None:
    where, key, message = the_problem(f"a: {text}", A="x")
    assert (where, key) == ("r.yaml:1:4", "a")
    assert "malformed '${'" in message
    assert "$${" in message


def test_a_default_holds_no_other_variable() -> None:
    assert "malformed" in the_problem("a: ${A:-${B}}", B="x")[2]


def test_every_unset_variable_is_named() -> None:
    found = problems("a: ${A} ${B} ${A}\nb:\n  - ${C}\n", C="set")
    assert [(where, key) for where, key, _ in found] == [("r.yaml:1:4", "a")] * 2
    assert "variable A is not set" in found[0][2]
    assert "${B:-default}" in found[1][2]


# Places


def test_places_of_keys_items_and_values() -> None:
    source = recipe("# a comment\ntrain:\n  epochs: 3\n  opt: {name: sgd, lr:   1e-3}\nlist:\n  - x\n  - {k: v}\n")
    where = {
        (): ("2:1", "2:1"),
        ("train",): ("2:1", "3:3"),
        ("train", "epochs"): ("3:3", "3:11"),
        ("train", "opt", "lr"): ("4:20", "4:26"),
        ("list", 0): ("6:5", "6:5"),
        ("list", 1): ("7:5", "7:5"),
        ("list", 1, "k"): ("7:6", "7:9"),
        # What is not there is reported where its nearest ancestor stands.
        ("train", "missing"): ("2:1", "3:3"),
        ("train", "epochs", "missing", 4): ("3:3", "3:11"),
        ("list", 2): ("5:1", "6:3"),
        ("missing",): ("2:1", "2:1"),
    }
    assert {path: (source.where(path), source.where_value(path)) for path in where} == {
        path: (f"r.yaml:{key}", f"r.yaml:{value}") for path, (key, value) in where.items()
    }
    assert source.where(["train", "epochs"]) == "r.yaml:3:3"  # any sequence


@pytest.mark.parametrize(
    ("text", "path", "key", "value"),
    [
        ('{a: "x\ty", b: 1}', ["b"], "1:12", "1:15"),  # a tab is one column
        ("{ä: 日本, 😀: 1}", ["😀"], "1:9", "1:12"),  # a character is one column
        ("a: 1\r\nb:\r\n  c: 2\r\n", ["b", "c"], "3:3", "3:6"),
        ("a: 1\rb: 2", ["b"], "2:1", "2:4"),
        ("\ufeffa: 1\nb: 2", ["a"], "1:1", "1:4"),
        ("\ufeffa: 1\nb: 2", ["b"], "2:1", "2:4"),
        ("a: |\n  text\n  more\nb: 2", ["b"], "4:1", "4:4"),
        ("'a': &x 1\n\"b\": *x", ["b"], "2:1", "2:6"),
        ("? a\n: !!int 1", ["a"], "1:3", "2:3"),
        ("a:\nb: 1", ["a"], "1:1", "1:3"),
    ],
)
def test_places_are_exact(text: str, path: list[str | int], key: str, value: str) -> None:
    source = recipe(text)
    assert (source.where(path), source.where_value(path)) == (f"r.yaml:{key}", f"r.yaml:{value}")


def test_an_alias_stands_where_it_is_written_and_its_contents_where_they_are() -> None:
    source = recipe("a: &x\n  k: 1\nb: [0, *x]\n")
    assert source.data == {"a": {"k": 1}, "b": [0, {"k": 1}]}
    assert source.where(["b", 1]) == "r.yaml:3:8"
    assert source.where(["b", 1, "k"]) == "r.yaml:2:3"


# What is refused


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("", "r.yaml", "empty"),
        ("# only a comment\n", "r.yaml", "empty"),
        ("---\n", "r.yaml", "empty"),
        ("\n- a\n", "r.yaml:2:1", "this is a list"),
        ("5", "r.yaml:1:1", "this is a number"),
        ("a", "r.yaml:1:1", "this is a text"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1", "second document"),
        ("a: 1\n---\n", "r.yaml:2:1", "second document"),
        ("<<: {a: 1}", "r.yaml:1:1", "merge keys"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "r.yaml:3:3", "merge keys"),
        ("a: {1: x}", "r.yaml:1:5", "1 is a number; quote it: '1'"),
        ("a: {1.5: x}", "r.yaml:1:5", "quote it: '1.5'"),
        ("null: x", "r.yaml:1:1", "null is null; quote it"),
        ("a: 1\n?\n: x", "r.yaml:2:2", "nothing is null"),
        ("true: x", "r.yaml:1:1", "true is a boolean; quote it"),
        ("!!int '3': x", "r.yaml:1:1", "3 is a number"),
        ("!foo b: x", "r.yaml:1:1", "!foo does not belong"),
        ("? [a]\n: x", "r.yaml:1:3", "this is a list"),
        ("a: {{ x }}", "r.yaml:1:5", "this is a mapping"),
        ("a: &x [1, *x]", "r.yaml:1:11", "an alias to what contains it"),
        ("a: &x {b: [*x]}", "r.yaml:1:12", "an alias to what contains it"),
        ("&x a: 1\nb: &x 2", "r.yaml:2:4", "same name above"),
        ("a: *x", "r.yaml:1:4", "no anchor &x above"),
        ("a: [1", "r.yaml:1:6", "']' is missing before this (while parsing a flow sequence, from line 1 on)"),
        ("a: {b: 1\n", "r.yaml:2:1", "'}' is missing"),
        ("a: 1\n\tb: 2", "r.yaml:2:1", "tab cannot stand here; indent with spaces"),
        ("a:\n\tb: 2", "r.yaml:2:1", "tab cannot stand here"),
        ("a: {root: ${X}}", "r.yaml:1:12", 'quote what holds a ${…}: "${NAME}"'),
        ("a: [x, ${X:-1}]", "r.yaml:1:9", 'quote what holds a ${…}: "${NAME}"'),
        ("a: b: c", "r.yaml:1:5", "a ':' cannot stand here"),
        ("a: 'x\n", "r.yaml:2:1", "closing quotation mark is missing (while scanning a quoted scalar, from line 1"),
        ("a: @x", "r.yaml:1:4", "cannot begin with @"),
        ("a:\n  - 1\n b: 2", "r.yaml:3:2", "does not line up"),
        ("a: 1\nb\n", "r.yaml:3:1", "a key without its ':'"),
        ("a: ]", "r.yaml:1:4", "but found ']'"),
        ("%YAML 2.0\n---\na: 1", "r.yaml:1:1", "incompatible YAML document"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1", "r.yaml:1:9", "too large"),
        ("a: 1\r\nb: \x07", "r.yaml:2:4", "U+0007"),
        ("\ufeff\x00", "r.yaml:1:1", "U+0000"),
        ("a: \ud800", "r.yaml:1:4", "U+D800"),
        ('a: "\\ud800"', "r.yaml:1:4", "surrogate"),
        ('"\\udfff": 1', "r.yaml:1:1", "surrogate"),
        ('a: "\\UFFFFFFFF"', "r.yaml:1:7", "too large"),
        ('a: "\\U00110000"', "r.yaml:1:7", "too large"),
    ],
)
def test_what_is_refused_says_where_and_why(text: str, where: str, says: str) -> None:
    found, _, message = the_problem(text)
    assert found == where
    assert says in message


def test_what_looks_like_the_refused_but_is_fine() -> None:
    text = "--- # one document\n'<<': 1\n'1': 2\n!!str 3: 4\non: 5\nwith.dot: 6\n...\n"
    assert recipe(text).data == {"<<": 1, "1": 2, "3": 4, "on": 5, "with.dot": 6}


def test_a_duplicate_key_names_both_places() -> None:
    where, key, message = the_problem("train:\n  epochs: 1\n  other: 2\n  'epochs': 1\n")
    assert (where, key) == ("r.yaml:4:3", "train.epochs")
    assert "also at line 2, column 3" in message
    assert ["line 1, column 1" in message for _, _, message in problems("a: 1\na: 2\na: 3\n")] == [True, True]


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = "a: ${A}\nb: !foo 1\nc: {1: x, d: 1, d: '${B}'}\ne: [!!int x]\n<<: {f: !!set {}}\n"
    found = [(where.removeprefix("r.yaml:"), key) for where, key, _ in problems(text)]
    assert found == [
        *[("1:4", "a"), ("2:4", "b"), ("3:5", "c"), ("3:17", "c.d"), ("3:20", "c.d"), ("4:5", "e.0")],
        *[("5:1", ""), ("5:9", "<<.f")],
    ]


def nested(levels: int) -> str:
    return "a: " + "[" * (levels - 1) + "]" * (levels - 1)


def test_how_deep_it_may_be() -> None:
    assert recipe(nested(50)).data
    assert the_problem(nested(51)) == ("r.yaml:1:53", "", "more than 50 levels deep")


def test_depth_is_counted_through_aliases() -> None:
    below = "[" * 30 + "]" * 30
    assert recipe(f"a: &a {below}\nb: {'[' * 19}*a{']' * 19}").data
    where, key, message = the_problem(f"a: &a {below}\nb: {'[' * 20}*a{']' * 20}")
    assert (where, message) == ("r.yaml:1:36", "more than 50 levels deep")
    assert key == "b" + ".0" * 49


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{" * 100_000, "a: " + "[" * 100_000, "- " * 100_000, "? " * 100_000, "{b: " * 9999]
)
def test_nesting_without_end(text: str) -> None:
    assert "levels deep" in the_problem(text)[2]


def test_how_many_values_there_may_be() -> None:
    assert len(recipe("a: [" + "1," * 9_998 + "]").data["a"]) == 9_998  # and the list, and the whole
    assert "more than 10000 values" in the_problem("a: [" + "1," * 9_999 + "]")[2]


@pytest.mark.parametrize(
    "level",
    [
        "[*{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}]",
        "{{a: *{0}, a: *{0}, a: *{0}, a: *{0}, a: *{0}, a: *{0}, a: *{0}, a: *{0}}}",  # the same key again
    ],
)
def test_an_expansion_bomb_does_not_go_off(level: str) -> None:
    lines = ["l0: &l0 [x]"] + [f"l{n + 1}: &l{n + 1} {level.format(f'l{n}')}" for n in range(6)]
    begun = time.monotonic()
    assert any("more than 10000 values" in message for _, _, message in problems("\n".join(lines)))
    assert time.monotonic() - begun < 5


def test_an_alias_to_a_long_text_is_substituted_once() -> None:
    data = recipe("a: &a '" + "$$" * 100_000 + "'\nb: [" + "*a," * 5000 + "]").data
    assert data["b"][0] == "$" * 100_000
    assert data["b"][0] is data["b"][4999]


# Files


def test_reading_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAITOOL_TEST", "7")
    file = tmp_path / "r.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4\r\nn: ${XAITOOL_TEST}\r\n")
    source = read(file)
    assert source.data == {"name": "ä", "n": 7}
    assert source.name == str(file)
    assert source.text == "name: ä\r\nn: ${XAITOOL_TEST}\r\n"
    assert source.where(["n"]) == f"{file}:2:1"


@pytest.mark.parametrize(
    ("content", "where", "says"),
    [
        (b"a: 1\nb: \xff\n", ":2", "not UTF-8: the byte 0xff"),
        ("a: 1".encode("utf-16"), ":1", "not UTF-8"),
        (b"a: 1\n" + b"#" * 2**20, "", "larger than 1048576 bytes"),
        (b"", "", "empty"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: bytes, where: str, says: str) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=says) as caught:
        read(file)
    assert [problem.where for problem in caught.value.problems] == [f"{file}{where}"]


def test_a_file_of_just_the_largest_size(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(b"a: 1\n#".ljust(2**20, b"#"))
    assert read(file).data == {"a": 1}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml", tmp_path / "nul\0.yaml", tmp_path / "missing" / "r.yaml"):
        with pytest.raises(RecipeError, match=r"cannot be read: .") as caught:
            read(path)
        assert caught.value.problems[0].where == str(path)


# Overrides

BASE = "train: {epochs: 1, lr: null}\nmethods: [{use: a}, {use: b, layers: [x]}]\nempty:\nnone: []\nflag: true\n"


@pytest.mark.parametrize(
    ("assignment", "path", "expected"),
    [
        ("train.epochs=3", ["train", "epochs"], 3),
        (" train.epochs = 3 ", ["train", "epochs"], 3),
        ("train.lr=1e-3", ["train", "lr"], 0.001),
        ("train.lr=null", ["train", "lr"], None),
        ("train.lr=", ["train", "lr"], None),
        ("train.lr=''", ["train", "lr"], ""),
        ("train.lr=a=b", ["train", "lr"], "a=b"),
        ("train.lr=${E}", ["train", "lr"], 5),
        ("train.lr='${E}'", ["train", "lr"], "5"),
        ("train.lr=$$E", ["train", "lr"], "$E"),
        ("train.lr=${F:-~/x}", ["train", "lr"], "~/x"),
        ("train={epochs: 2}", ["train"], {"epochs": 2}),
        ("train=[a, b]", ["train"], ["a", "b"]),
        ("methods.0.use=gradcam++", ["methods", 0, "use"], "gradcam++"),
        ("methods.1.layers.0=y", ["methods", 1, "layers", 0], "y"),
        ("methods.1=5", ["methods", 1], 5),
        ("dataset.limit.train=2560", ["dataset", "limit", "train"], 2560),
        ("train.lr.max=1", ["train", "lr", "max"], 1),  # through what is null
        ("empty.a.b=1", ["empty", "a", "b"], 1),
        ("train.7=x", ["train", "7"], "x"),
    ],
)
def test_an_override_puts_the_value_and_its_place(assignment: str, path: list[str | int], expected: object) -> None:
    source = recipe(BASE, E="5")
    result = override(source, [assignment])
    found = result.data
    for step in path:
        found = found[step]
    assert found == expected
    assert type(found) is type(expected)
    for place in (path, [*path, "below"], [*path, 0]):
        assert result.where(place) == result.where_value(place) == f"--set {assignment}"
    assert source.data == recipe(BASE).data
    assert source.where(["train", "epochs"]) == "r.yaml:1:9"
    assert (result.name, result.text) == (source.name, source.text)


def test_an_override_leaves_the_rest_in_its_place() -> None:
    result = override(recipe(BASE), ["methods.1.use=c", "new.a.b=1"])
    assert result.data["methods"] == [{"use": "a"}, {"use": "c", "layers": ["x"]}]
    assert result.where(["methods", 1]) == "r.yaml:2:21"
    assert result.where(["methods", 1, "layers", 0]) == "r.yaml:2:39"
    assert result.where(["methods", 1, "missing"]) == "r.yaml:2:21"
    assert result.where(["new"]) == result.where(["new", "a", "other"]) == "--set new.a.b=1"


def test_what_was_written_below_a_replaced_value_is_gone() -> None:
    result = override(recipe(BASE), ["methods=[{use: z}]"])
    assert result.where(["methods", 0, "use"]) == "--set methods=[{use: z}]"
    assert result.where_value(["methods", 1, "layers", 0]) == "--set methods=[{use: z}]"


def test_the_last_override_wins() -> None:
    result = override(recipe(BASE), ["train.epochs=2", "train={a: {b: 1}}", "train.a.b=3", "train.a.c=4"])
    assert result.data["train"] == {"a": {"b": 3, "c": 4}}
    assert result.where(["train", "a", "b"]) == "--set train.a.b=3"
    assert result.where(["train", "a", "c"]) == "--set train.a.c=4"
    assert result.where(["train", "a"]) == "--set train={a: {b: 1}}"
    again = override(result, ["train.a=5"])
    assert again.where(["train", "a", "b"]) == "--set train.a=5"


def test_an_override_of_an_alias_changes_that_one_alone() -> None:
    source = recipe("a: &x {k: 1}\nb: *x\n")
    assert override(source, ["b.k=2"]).data == {"a": {"k": 1}, "b": {"k": 2}}


@pytest.mark.parametrize(
    ("assignment", "key", "says"),
    [
        ("train.epochs", "train.epochs", "there is no '='"),
        ("=1", "", "empty key"),
        ("  =1", "", "empty key"),
        ("train..epochs=1", "train..epochs", "empty key"),
        (".train=1", ".train", "empty key"),
        ("train.=1", "train.", "empty key"),
        ("train.epochs.x=1", "train.epochs.x", "train.epochs is a number and has no keys"),
        ("train.epochs.x.y=1", "train.epochs.x.y", "train.epochs is a number and has no keys"),
        ("methods.0.use.x=1", "methods.0.use.x", "methods.0.use is a text and has no keys"),
        ("flag.x=1", "flag.x", "flag is a boolean and has no keys"),
        ("methods.2=1", "methods.2", "methods is a list of 2, counted from 0; it has no item '2'"),
        ("methods.2.use=1", "methods.2.use", "methods is a list of 2"),
        ("methods.-1=1", "methods.-1", "methods is a list of 2"),
        ("methods.use=1", "methods.use", "methods is a list of 2"),
        ("methods.٠=1", "methods.٠", "methods is a list of 2"),
        ("methods." + "9" * 5000 + "=1", "methods." + "9" * 5000, "methods is a list of 2"),
        ("none.0=1", "none.0", "none is a list without items"),
        ("a=[1", "a", "']' is missing"),
        ("a=b: c: d", "a", "a ':' cannot stand here"),
        ("a={b: 1, b: 2}", "a.b", "the same key again"),
        ("a={b: {1: 2}}", "a.b", "1 is a number; quote it"),
        ("a=!foo 1", "a", "!foo does not belong"),
        ("a.b=${Q}", "a.b", "variable Q is not set"),
        ("a=[x, ${E}]", "a", "quote what holds a ${…}"),
        ("a=1\n---\n2", "a", "second document"),
        ("a=" + "[" * 100_000, "a", "levels deep"),
        (".".join("a" * 51) + "=1", ".".join("a" * 51), "more than 50 parts"),
        (".".join("a" * 5000) + "={}", ".".join("a" * 5000), "levels deep"),
        (".".join("a" * 50) + "=[]", ".".join("a" * 50), "levels deep"),
    ],
)
def test_an_override_that_cannot_be(assignment: str, key: str, says: str) -> None:
    ((where, found, message),) = override_problems(recipe(BASE, E="5"), assignment)
    assert (where, found) == (f"--set {assignment}", key)
    assert says in message


def test_all_problems_with_overrides_come_at_once() -> None:
    found = override_problems(recipe(BASE), "a", "train.epochs=2", "flag.x=1", "b=[${A}", "c=['${A}', '${B}']")
    assert [(where, key) for where, key, _ in found] == [
        ("--set a", "a"),
        ("--set flag.x=1", "flag.x"),
        ("--set b=[${A}", "b"),
        ("--set c=['${A}', '${B}']", "c.0"),
        ("--set c=['${A}', '${B}']", "c.1"),
    ]


def test_overrides_from_python_are_taken_as_they_are() -> None:
    given_values = {"train.epochs": "${E}", "new": {"k": [1]}, "new.k.0": 2, "methods.0.use": Path("x")}
    result = override_values(recipe(BASE), given_values)
    assert result.data["train"]["epochs"] == "${E}"
    assert result.data["new"] == {"k": [2]}
    assert result.data["methods"][0]["use"] == Path("x")
    assert result.where(["train", "epochs"]) == 'set["train.epochs"]'
    assert given_values["new"] == {"k": [1]}  # the caller's own values are left alone
    with pytest.raises(RecipeError) as caught:
        override_values(recipe(BASE), {"flag.x": 1, "a..b": 2, "ok": 3})
    assert [problem.where for problem in caught.value.problems] == ['set["flag.x"]', 'set["a..b"]']


# Anything at all

WRITTEN = (
    "recipe: 1\nname: &n x\ntrain:\n  epochs: ${E:-20}\n  opt: {name: sgd, lr: 1e-3}\n  l: [*n, 'q', \"\\u00e4\"]\n"
    "text: |\n  some\n  lines\n? k\n: !!str 5\n"
)
PIECES = [
    *"[]{}:,#&*!|>'\"%@`-?\t\n\r \\$~.=<\ufeff\x85\u2028\x00",
    "---",
    "...",
    "\n  ",
    "<<",
    "${",
    "!!int ",
    "\\U",
    "&n ",
    "*n",
]


def plain_all_through(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and plain_all_through(item) for key, item in value.items())
    if type(value) is list:
        return all(map(plain_all_through, value))
    return type(value) in (str, int, float, bool, type(None))


def check(text: str) -> None:
    refused: RecipeError | None = None
    try:
        source = parse(text, "r", {"E": "1"})
    except RecipeError as error:
        refused = error
    if refused is None:
        assert plain_all_through(source.data)
    else:
        assert refused.problems
        assert all(problem.where and problem.message for problem in refused.problems)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from([*PIECES, "a", "1", "a: "]), max_size=30).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    check(text)
    check("a: " + text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WRITTEN)), st.integers(0, 3), st.sampled_from(["", *PIECES])), max_size=4))
def test_any_slip_of_the_pen_is_read_or_refused(slips: list[tuple[int, int, str]]) -> None:
    text = WRITTEN
    for at, gone, piece in slips:
        text = text[:at] + piece + text[at + gone :]
    check(text)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from([*PIECES, "a", "train", ".", "methods", "0", "="]), max_size=15).map("".join),
    )
)
def test_any_override_is_taken_or_refused(text: str) -> None:
    for assignment in (text, f"train.x={text}"):
        refused: RecipeError | None = None
        try:
            result = override(recipe(BASE, E="1"), [assignment])
        except RecipeError as error:
            refused = error
        if refused is None:
            assert plain_all_through(result.data)
        else:
            assert {problem.where for problem in refused.problems} == {f"--set {assignment}"}


# Quoted, because PyYAML writes for its own YAML 1.1; no line breaks but \n, and nothing that ${} means.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="$"), max_size=20)
LEAVES = st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=15,
)


class _Quoting(yaml.SafeDumper):
    """Every text between quotation marks; no aliases for what is merely equal."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXTS, TREES, max_size=5), st.booleans())
def test_what_is_written_comes_back(data: dict[str, object], flow: bool) -> None:
    assert recipe(yaml.dump(data, Dumper=_Quoting, default_flow_style=flow, width=1000)).data == data


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()))
def test_resolving_what_python_writes(number: float | None) -> None:
    written = {None: "null", math.inf: ".inf", -math.inf: "-.inf"}.get(number, repr(number))
    found = scalars.resolve(written)
    assert found == number
    assert type(found) is type(number)
