"""Reading YAML with positions, replacing values from the command line, and showing faults."""

import textwrap
from pathlib import Path

import pytest

from snnrun import document
from snnrun.document import Document, Fault, Mark, Override, SpecError


def parsed(text: str) -> Document:
    return document.parse(Document("net.yaml", textwrap.dedent(text), Path()))


def fault_of(text: str) -> Fault:
    with pytest.raises(SpecError) as caught:
        parsed(text)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0]


def override(text: str, *pairs: tuple[str, str]) -> Document:
    items = [Override(tuple(path.split(".")), value, f"--set #{i}") for i, (path, value) in enumerate(pairs, start=1)]
    return document.override(parsed(text), items)


# ---- scalars ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("-.inf", float("-inf")),
        ("010", 10),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("+3", 3),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2001-01-01", "2001-01-01"),
        ("no", "no"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ("20 ms", "20 ms"),
        ("1e-3 ms", "1e-3 ms"),
        ("-55mV", "-55mV"),
        ("N[:3200]", "N[:3200]"),
        ("!!str 3", "3"),
        ("!!int '3'", 3),
        ("9" * 99, int("9" * 99)),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_read_by_the_rules_of_yaml_1_2(text, value):
    found = parsed(f"key: {text}\n").tree["key"]
    assert found == value and type(found) is type(value)


def test_nan_is_read_so_that_it_can_be_refused_where_it_stands():
    assert parsed("key: .nan").tree["key"] != parsed("key: .nan").tree["key"]


def test_keys_are_text_whatever_they_look_like():
    found = parsed("{1: a, 1.5: b, true: c, ~: d, no: e, 010: f}")
    assert list(found.tree) == ["1", "1.5", "true", "~", "no", "010"]
    assert found.keys[("010",)] == Mark(0, 37)


# ---- what is refused -------------------------------------------------------------------------------------------------

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{k}: &{k} [{', '.join(['*' + before] * 10)}]\n" for before, k in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i}]\n" for i in range(150))

REFUSED = {
    "nothing": ("", 1, 1, "the file is empty", "begin with duration: and populations:"),
    "only a comment": ("# todo\n", 1, 1, "the file is empty", "begin with duration: and populations:"),
    "null": ("null\n", 1, 1, "the file is empty", "begin with duration: and populations:"),
    "a list at the top": ("# x\n- a\n- b\n", 2, 1, "and this is a list", "begin with duration: and populations:"),
    "a text at the top": ("hello", 1, 1, "and this is a single value", "begin with duration: and populations:"),
    "a key twice": ("a: 1\nb: 2\n'a': 3\n", 3, 1, "'a' is given twice (first in line 1)", "remove one of the two"),
    "a number twice": ("x: {1: a, '1': b}", 1, 11, "'1' is given twice", "remove one of the two"),
    "two merges": ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", 4, 3, "'<<' is given twice", "<<: [*a, *b]"),
    "a list as a key": ("? [a]\n: 3\n", 1, 3, "a key must be plain text", "quote what you meant as text"),
    "an alias in itself": ("a: 1\nb: &b [1, *b]\n", 2, 4, "an alias that contains itself", ""),
    "a merge of itself": ("b: &b {<<: *b}\n", 1, 4, "an alias that contains itself", ""),
    "billions of nodes": (LAUGHS, 1, 1, "expand to more than 1,000,000 nodes", "put large arrays into files"),
    "deep nesting": ("a: " + "[" * 600, 1, 103, "nested too deeply", ""),
    "deep aliases": (CHAIN, 1, 1, "nested too deeply", ""),
    "a merge of a scalar": ("<<: 3", 1, 5, "expected a mapping or list of mappings for merging", "<<: *lif"),
    "an unknown alias": ("a: *b", 1, 4, "undefined alias 'b'", "&name must stand above"),
    "an unknown tag": ("a: !foo 3", 1, 4, "unknown tag !foo", "remove it"),
    "a date by its tag": ("a: !!timestamp 2001-01-01", 1, 4, "unknown tag !!timestamp", "remove it"),
    "a set by its tag": ("a: !!set {x, y}", 1, 4, "unknown tag !!set", "remove it"),
    "a Python object": ("a: !!python/object:os.system x", 1, 4, "unknown tag !!python/object:os.system", "remove it"),
    "a tag that lies": ("a: !!int x", 1, 4, "'x' is not what its tag says", "remove the tag"),
    "a list tagged as mapping": ("a: !!map [x]", 1, 4, "a mapping is wanted", ""),
    "two documents": ("a: 1\n---\nb: 2\n", 2, 1, "a network file holds one document", "remove the line ---"),
    "a tab as indentation": ("a:\n\tb: 1\n", 2, 1, "a tab stands where YAML wants blanks", "use blanks"),
    "a control character": ("a: 1\nbc: \x07\n", 2, 5, "the character U+0007 is not allowed in YAML", "remove it"),
    "half a character": ('a: "x\\ud800"', 1, 4, r"\ud800 is half of a character", "write the character itself"),
    "half of a key": ('"\\udcff": 1', 1, 1, r"\udcff is half of a character", "write the character itself"),
    "a form feed": ("a: 1\n\x0c", 2, 1, "the character U+000C is not allowed in YAML", "remove it"),
    "a colon in a text": ("name: a: b", 1, 8, "a colon is not expected here", "needs quotes"),
    "a missing colon": ("seed 3\ndt: 1 ms\n", 1, 1, "a colon is missing here", "write seed: 3"),
    "no blank in one of several": ("a:\n  b: 1\n  tau:20 ms  # slow\n  c: 2\n", 3, 3, "a blank is missing", "write tau: 20 ms"),
    "= in place of a colon": ("a:\n  dn/dt = -n/tau\n  c: 2\n", 2, 3, "a colon is missing here", "write dn/dt: -n/tau"),
    "a section without a colon": (
        "a: 1\nprojections\n  # these\n  exc: 3\n",
        2,
        1,
        "a colon is missing here",
        "write projections:",
    ),
    "a name without a colon": ("a:\n  pre E\n  post: [E, I]\n", 2, 3, "a colon is missing here", "write pre: E"),
    "no blank before a brace": ("a:\n  b:{c: d, e: 1}\n", 2, 3, "a blank is missing", "write b: {c: d, e: 1}"),
    "an anchor without a colon": ("a:\n  E &cell  # x\n    size: 8\n", 2, 3, "a colon is missing here", "write E: &cell"),
    "a blank too many": ("a:\n  b: lif\n\n   c: 2\n", 4, 4, "indented deeper than the one above", "align it with b"),
    "a colon in a text below": ("a: 1\nname: b: c\n", 2, 8, "a colon is not expected here", "needs quotes"),
    "a colon in a text of two lines": (
        "a: 1\nname: b\n  c d: e\n",
        3,
        3,
        "indented deeper than the one above",
        "align it with name",
    ),
    "a text of several words": (
        "a: >\n    some words\n  c: 2\n",
        3,
        3,
        "the indentation of this line fits none above",
        "align it",
    ),
    "a brace left open": ("a: {b: 1\nc: 2\n", 2, 2, "expected ',' or '}'", "opened in line 1 is not closed"),
    "a brace left open above a section": (
        "a: {b: 1  # x\ncd:\n  e: 2\n",
        2,
        1,
        "'}', but got a text",
        "opened in line 1 is not closed",
    ),
    "a quote left open": ("a: 1\nb: 'x\n", 2, 4, "a quotation mark is not closed", "it opens in line 2"),
    "an indent that fits nothing": ("a:\n    b: 1\n  c: 2\n", 3, 3, "the indentation of this line fits none above", "align it"),
    "a reserved character": ("a: @b", 1, 4, "a text cannot begin with '@'", "quote the text"),
    "no blank after a colon": ("a:1\nb:2\n", 1, 1, "a single value", "begin with"),
    "a slice in braces": ("m: {of: N[:5]}", 1, 9, "a slice inside [ ] or { } must be quoted", 'write "N[:5]"'),
    "a neuron in brackets": ("m:\n  of: [a, ring[0]]", 2, 11, "a slice inside [ ] or { } must be quoted", 'write "ring[0]"'),
    "the second slice": ('m: {a: "N[:5]", b: N[5:]}', 1, 20, "a slice inside [ ] or { } must be quoted", 'write "N[5:]"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network_file_is_refused_where_it_stands(case):
    text, line, column, message, hint = REFUSED[case]
    found = fault_of(text)
    assert (found.line, found.column) == (line, column)
    assert message in found.message and hint in found.hint


def test_every_duplicate_is_reported_not_only_the_first():
    with pytest.raises(SpecError) as caught:
        parsed("a: 1\na: 2\nb: {c: 1, c: 2, c: 3}\n")
    assert [(f.line, f.column) for f in caught.value.faults] == [(2, 1), (3, 11), (3, 17)]


def test_bytes_that_are_no_utf8_are_shown_where_they_stand(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes("a: 1\n\u00b5: \u00b5".encode() + b"\xb5s\n")
    with pytest.raises(SpecError) as caught:
        document.read(path)
    found = caught.value.faults[0]
    assert (found.line, found.column, found.message) == (2, 5, "the file is not UTF-8 text")


@pytest.mark.parametrize("text", ['a: "' + "x" * 200_000, "x" * 200_000 + ": 1", "a: !" + "x" * 100_000 + " b"])
def test_a_mistake_in_a_very_long_line_is_found_before_long(text):
    """Minutes went by where the whole line was searched for a slice."""
    assert fault_of(text).line == 1


def test_a_slice_far_out_in_a_line_is_shown_where_it_stands():
    found = fault_of("a: [" + "x, " * 300 + "E[:5]]")
    assert (found.hint, found.column) == ('write "E[:5]"', 905)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: {c: 2}\r\n")
    found = document.read(path)
    assert found.tree == {"a": 1, "b": {"c": 2}} and found.values[("b", "c")] == Mark(1, 7)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "MAX_BYTES", 2**20)
    path = tmp_path / "net.yaml"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        document.read(path)


# ---- merging and positions -------------------------------------------------------------------------------------------

MERGED = """\
    E: &lif
      size: 8
      tau: 20 ms
    I:
      <<: *lif
      size: 2
    J: {<<: [{tau: 1 ms}, *lif]}
    """


def test_an_own_key_overrides_a_merged_one_and_is_no_duplicate():
    found = parsed(MERGED)
    assert found.tree["I"] == {"size": 2, "tau": "20 ms"}
    assert found.tree["J"] == {"size": 8, "tau": "1 ms"}


def test_a_merge_of_a_merge_has_no_false_duplicates():
    found = parsed("a: &a {k: 1}\nb: &b {<<: *a, k: 2}\nc: {<<: *b, k: 3}\n")
    assert found.tree == {"a": {"k": 1}, "b": {"k": 2}, "c": {"k": 3}}


def test_a_merged_key_points_to_where_it_is_written():
    found = parsed(MERGED)
    assert found.values[("I", "tau")] == Mark(2, 7)
    assert found.keys[("I", "tau")] == Mark(2, 2)
    assert found.values[("I", "size")] == Mark(5, 8)
    assert found.values[("J", "tau")] == Mark(6, 15)
    assert found.values[("J", "size")] == Mark(1, 8)


def test_every_key_value_and_entry_has_a_position():
    found = parsed("a:\n  b: [x, {c: y}]\n")
    assert found.keys[("a", "b")] == Mark(1, 2)
    assert found.values[("a", "b")] == Mark(1, 5)
    assert found.values[("a", "b", 0)] == Mark(1, 6)
    assert found.values[("a", "b", 1, "c")] == Mark(1, 13)


def test_a_fault_of_what_is_not_there_points_to_the_key_of_the_part_around_it():
    found = parsed("a:\n  b:\n    c: 1\n")
    place = document.located(found, Fault(("a", "b", "missing", "deep"), ""))
    assert (place.line, place.column) == (2, 3)


# ---- overrides -------------------------------------------------------------------------------------------------------

NETWORK = """\
    dt: 0.1 ms
    populations:
      E: &lif {size: 8, tau: 20 ms}
      I: {<<: *lif}
    shared: &list [1, 2, {x: 1}]
    also: *list
    """


def test_an_override_is_read_as_the_file_is():
    found = override(NETWORK, ("dt", "1e-3"), ("name", "no"), ("populations.E.size", "010"), ("shared", "[a, {b: 1 ms}]"))
    assert found.tree["dt"] == 0.001 and found.tree["name"] == "no"
    assert found.tree["populations"]["E"]["size"] == 10
    assert found.tree["shared"] == ["a", {"b": "1 ms"}]


def test_an_override_of_a_merged_or_aliased_part_leaves_its_siblings_alone():
    found = override(NETWORK, ("populations.E.tau", "5 ms"), ("also.0", "9"), ("shared.2.x", "7"))
    assert found.tree["populations"] == {"E": {"size": 8, "tau": "5 ms"}, "I": {"size": 8, "tau": "20 ms"}}
    assert found.tree["also"] == [9, 2, {"x": 1}] and found.tree["shared"] == [1, 2, {"x": 7}]


def test_an_override_leaves_the_document_it_was_made_from_alone():
    before = parsed(NETWORK)
    document.override(before, [Override(("populations", "E", "size"), "9", "--set #1")])
    assert before.tree["populations"]["E"]["size"] == 8 and not before.overridden


def test_the_last_override_of_a_path_holds():
    assert override(NETWORK, ("dt", "1 ms"), ("dt", "2 ms")).tree["dt"] == "2 ms"


@pytest.mark.parametrize(
    ("path", "value", "message", "hint"),
    [
        ("population.E.size", "9", "population: there is no such part", "did you mean populations?"),
        ("populations.X.size", "9", "populations.X: there is no such part", "known: E, I"),
        ("shared.3", "9", "shared.3: there is no such part", "the list has the entries 0 to 2"),
        ("shared.7.x", "9", "shared.7: there is no such part", "the list has the entries 0 to 2"),
        ("shared.\u00b2", "9", "shared.\u00b2: there is no such part", "the list has the entries 0 to 2"),
        ("shared." + "9" * 5000, "9", "there is no such part", "the list has the entries 0 to 2"),
        ("dt.x", "9", "dt.x: there is no such part", "dt is a value without parts"),
        ("dt.x.y", "9", "dt.x: there is no such part", "dt is a value without parts"),
        ("dt", "[1", "dt: a bracket is not closed", "write ] at the end"),
        ("dt", "*lif", "dt: this is no YAML: found undefined alias", ""),
        ("dt", "\x07", "dt: the character U+0007", "remove it"),
    ],
)
def test_an_override_that_cannot_be_made_is_located_by_its_option(path, value, message, hint):
    with pytest.raises(SpecError) as caught:
        override(NETWORK, ("seed", "3"), (path, value))
    shown = document.render(parsed(NETWORK), caught.value.faults)
    assert shown.startswith("--set #2: ") and message in shown and hint in shown
    assert document.as_objects(parsed(NETWORK), caught.value.faults)[0]["line"] is None


def test_all_overrides_that_cannot_be_made_are_reported():
    with pytest.raises(SpecError) as caught:
        override(NETWORK, ("x.y.z", "1"), ("dt", "2 ms"), ("shared.5", "1"))
    assert [fault.label for fault in caught.value.faults] == ["--set #1", "--set #3"]


# ---- showing ---------------------------------------------------------------------------------------------------------


def test_a_fault_is_shown_as_a_compiler_would():
    found = parsed("populations:\n  N:\n    tau_ref: 5\n    V_treshold: -50 mV\n")
    faults = [
        Fault(("populations", "N", "V_treshold"), "unknown key", "did you mean V_th?", at_key=True),
        Fault(("populations", "N", "tau_ref"), "a time needs a unit", "write 5 ms"),
    ]
    assert document.render(found, faults) == textwrap.dedent("""\
        net.yaml:3:14: populations.N.tau_ref: a time needs a unit
            3 |     tau_ref: 5
              |              ^ write 5 ms
        net.yaml:4:5: populations.N.V_treshold: unknown key
            4 |     V_treshold: -50 mV
              |     ^ did you mean V_th?
        2 errors in net.yaml""")
    assert document.as_objects(found, faults) == [
        {"file": "net.yaml", "path": "populations.N.tau_ref", "line": 3, "column": 14,
         "message": "a time needs a unit", "hint": "write 5 ms"},
        {"file": "net.yaml", "path": "populations.N.V_treshold", "line": 4, "column": 5,
         "message": "unknown key", "hint": "did you mean V_th?"},
    ]  # fmt: skip


def test_warnings_are_shown_as_such():
    shown = document.render(parsed("a: 1"), [Fault(("a",), "odd")], "warning")
    assert "net.yaml:1:4: a: warning: odd" in shown and shown.endswith("1 warning in net.yaml")


def test_one_mistake_in_a_shared_part_is_shown_once_with_its_paths_and_listed_for_each():
    found = parsed("a: &a {x: 1}\nb: *a\nc: *a\nd: *a\n")
    faults = [Fault((key, "x"), "wrong") for key in "abcd"]
    shown = document.render(found, faults)
    assert "net.yaml:1:11: a.x (and b.x, c.x and 1 more): wrong" in shown and shown.endswith("1 error in net.yaml")
    assert [entry["path"] for entry in document.as_objects(found, faults)] == ["a.x", "b.x", "c.x", "d.x"]


def test_a_fault_below_an_override_names_the_option_instead_of_a_line():
    found = override(NETWORK, ("populations.E", "{size: 0, tau: 1}"))
    faults = [Fault(("populations", "E", "tau"), "a time needs a unit", "write 1 ms")]
    assert document.render(found, faults) == textwrap.dedent("""\
        --set #1: populations.E.tau: a time needs a unit
              | populations.E={size: 0, tau: 1}
              |                              ^ write 1 ms
        1 error in the options for net.yaml""")
    assert document.as_objects(found, faults)[0]["file"] == "--set #1"


def test_the_caret_stands_below_its_character_also_after_tabs():
    lines = document.render(parsed('a: {"x\ty": 1, b: 1}'), [Fault(("a", "b"), "wrong")]).splitlines()
    assert lines[1] == '    1 | a: {"x\ty": 1, b: 1}' and lines[2] == "      |       \t          ^"


def test_lines_are_counted_as_yaml_counts_them():
    found = parsed('a: "x\u2028y"\nb: "\u2029"\r\nc: 1\rd: 2\n')
    shown = document.render(found, [Fault(("d",), "wrong")])
    assert "6 | d: 2" in shown and "net.yaml:6:4" in shown


@pytest.mark.parametrize("at", [0, 500, 999])
def test_a_long_line_is_cut_around_the_caret(at):
    entries = ["x"] * 1000
    entries[at] = "wrong"
    found = parsed(f"a: [{', '.join(entries)}]")
    _, line, caret, _ = document.render(found, [Fault(("a", at), "wrong")]).splitlines()
    assert len(line) < 200 and line[caret.index("^") :].startswith("wrong")


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("V_treshold", ["V_th", "size", "tau"], "did you mean V_th?"),
        ("SIZE", ["size", "tau"], "did you mean size?"),
        ("zzz", ["size", "tau"], "known: size, tau"),
        ("zzz", [], ""),
        ("zzz", [f"name{i}" for i in range(100)], ""),
    ],
)
def test_the_nearest_known_word_is_suggested(word, known, hint):
    assert document.nearest(word, known) == hint


def test_paths_read_like_the_options_that_set_them():
    assert document.dotted(("projections", "exc", "connect", "pairs", 3)) == "projections.exc.connect.pairs[3]"
