"""Tables as people write them: what can be read in one way is read, and the rest is said by line and column."""

import h5py
import numpy as np
import pytest

from snnrun import tables


def read(path, *columns):
    return {name: values.tolist() for name, values in tables.parameters(path).read(list(columns)).items()}


def edges(path, **options):
    table = tables.edges(path, **options)
    return {name: values.tolist() for name, values in table.read(list(table.columns)).items()}


def trains(path, population=None):
    found = tables.trains(path, population).read(["neuron", "time_ms"])
    return list(zip(found["neuron"].tolist(), found["time_ms"].tolist(), strict=True))


def refused(function, *arguments, **options):
    with pytest.raises(tables.TableError) as caught:
        function(*arguments, **options)
    return f"{caught.value.message}: {caught.value.hint}"


def text(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


# ---- all formats -----------------------------------------------------------------------------------------------------


def test_every_kind_of_table_gives_the_same_columns(tmp_path):
    text(tmp_path / "t.csv", "\ufeff x_ms , y_mV\n1,2\n3,4\n")
    np.savez(tmp_path / "t.npz", x_ms=np.array([1, 3]), y_mV=np.array([2.0, 4.0]))
    np.savez_compressed(tmp_path / "c.npz", x_ms=np.array([1, 3]), y_mV=np.array([2.0, 4.0]))
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x_ms"], file["y_mV"] = np.array([1, 3]), np.array([2.0, 4.0])
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("x_ms", data=[1, 3], maxshape=(None,), compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("y_mV", data=[2.0, 4.0], chunks=(1,))
    for name in ("t.csv", "t.npz", "c.npz", "t.h5", "c.h5"):
        table = tables.parameters(tmp_path / name)
        assert table.columns == ("x_ms", "y_mV") and table.length("x_ms") == 2
        assert read(tmp_path / name, "x_ms", "y_mV") == {"x_ms": [1, 3], "y_mV": [2, 4]}


@pytest.mark.parametrize("dtype", ["u1", ">i2", "u8", "f2", ">f4", "?"])
def test_numbers_of_every_kind_are_read(tmp_path, dtype):
    values = np.array([0, 1, 1]).astype(dtype)
    np.savez(tmp_path / "t.npz", x=values)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"] = values
    for name in ("t.npz", "t.h5"):
        assert read(tmp_path / name, "x") == {"x": [0, 1, 1]}


def test_a_column_in_another_unit_is_converted_as_a_text_is():
    assert tables.to_internal(np.array([100.0]), "x_us")[0] == tables.to_internal(np.array([0.0001]), "y_s")[0] == 0.1


def test_columns_of_different_length_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", x_ms=np.zeros(2), y_ms=np.zeros(3))
    message = refused(read, tmp_path / "t.npz", "x_ms", "y_ms")
    assert "x_ms, y_ms of t.npz differ in length" in message and "x_ms 2, y_ms 3" in message


# ---- text ------------------------------------------------------------------------------------------------------------

COLUMNS = {"pre": [0, 1], "post": [2, 3], "weight_mV": [0.5, -1.5]}
WRITTEN = {
    "commas": "pre,post,weight_mV\n0,2,0.5\n1,3,-1.5\n",
    "quotes": '"pre","post","weight_mV"\n"0","2","0.5"\n"1","3","-1.5"\n',
    "quotes after blanks": '"pre", "post", "weight_mV"\n"0", "2", "0.5"\n"1", "3", "-1.5"\n',
    "commas in a text": 'pre,post,note,weight_mV\n0,2,"a, ""b""",0.5\n1,3,"c, d",-1.5\n',
    "a text of two lines": 'pre,post,note,weight_mV\n0,2,"a\nb",0.5\n1,3,c,-1.5\n',
    "semicolons": "pre;post;weight_mV\n0;2;0.5\n1;3;-1.5\n",
    "decimal commas": "pre;post;weight_mV\n0;2;0,5\n1;3;-1,5\n",
    "commas in a name": "pre;post;weight_mV;note (x, y)\n0;2;0,5;a\n1;3;-1,5;b\n",
    "tabs": "pre\tpost\tweight_mV\n0\t2\t0.5\n1\t3\t-1.5\n",
    "tabs and decimal commas": "pre\tpost\tweight_mV\n0\t2\t0,5\n1\t3\t-1,5\n",
    "blanks": "pre post weight_mV\n0 2 0.5\n1 3 -1.5\n",
    "many blanks": "  pre   post weight_mV  \n 0  2   0.5 \n 1  3  -1.5\n",
    "comments": "# made by hand\n#\npre,post,weight_mV\n# first\n0,2,0.5\n # second\n1,3,-1.5\n# end",
    "names in a comment": "# by savetxt\n# pre,post,weight_mV\n0,2,0.5\n1,3,-1.5\n",
    "other case": "Pre,POST,Weight_MV\n0,2,0.5\n1,3,-1.5\n",
    "blanks around": " pre , post , weight_mV \n 0 , 2 , 0.5 \n 1 , 3 , -1.5 \n",
    "a byte order mark": "\ufeffpre,post,weight_mV\n0,2,0.5\n1,3,-1.5\n",
    "a byte order mark and quotes": '\ufeff"pre","post","weight_mV"\n0,2,0.5\n1,3,-1.5\n',
    "CRLF": "pre,post,weight_mV\r\n0,2,0.5\r\n1,3,-1.5\r\n",
    "CR": "pre,post,weight_mV\r0,2,0.5\r1,3,-1.5\r",
    "empty lines": "\n\npre,post,weight_mV\n\n0,2,0.5\n   \n1,3,-1.5\n\n",
    "no end of line": "pre,post,weight_mV\n0,2,0.5\n1,3,-1.5",
    "empty rows of a spreadsheet": "pre,post,weight_mV\n0,2,0.5\n1,3,-1.5\n,,\n,,\n",
    "a separator at the end": "pre,post,weight_mV,\n0,2,0.5,\n1,3,-1.5,\n",
    "a separator at the end of rows": "pre,post,weight_mV\n0,2,0.5,\n1,3,-1.5,\n",
    "an index": ",pre,post,weight_mV\n0,0,2,0.5\n1,1,3,-1.5\n",
    "exponents": "pre,post,weight_mV\n0e0,2.0,5e-1\n1,3,-15E-1\n",
    "signs": "pre,post,weight_mV\n+0,+2,+.5\n1,3,-1.5\n",
    "thousands of columns": f"{'c,' * 4000}pre,post,weight_mV\n{',' * 4000}0,2,0.5\n{',' * 4000}1,3,-1.5\n",
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_text_table_is_read_however_it_is_written(tmp_path, name):
    found = asked_for(text(tmp_path / "t.csv", WRITTEN[name]))
    assert {column: values.tolist() for column, values in found.items()} == COLUMNS


def asked_for(path):
    """Pre, post and weight of a table; other columns may hold texts."""
    table = tables.edges(path)
    for column in COLUMNS:
        if column not in table.columns:
            raise tables.without(table.name, column, table.columns)
    return table.read(list(COLUMNS))


BROKEN = {
    "an empty cell": ("pre,post,weight_mV\n0,2,0.5\n1,,2\n", "post is empty in line 3 of t.csv"),
    "an empty cell after comments": ("#\n\npre,post,weight_mV\n#\n0,2,0.5\n\n1,,2\n", "post is empty in line 7"),
    "an empty cell after a text of two lines": ('pre,post,weight_mV,n\n0,2,1,"a\nb"\n1,,2,c\n', "post is empty in line 4"),
    "a word": ("pre,post,weight_mV\n0,2,0.5\n1,3,much\n", "weight_mV is 'much', which is no number in line 3"),
    "another base": ("pre,post,weight_mV\n0,0x2,0.5\n", "post is '0x2'"),
    "an underscore": ("pre,post,weight_mV\n1_0,2,0.5\n", "pre is '1_0'"),
    "a unit": ("pre,post,weight_mV\n1,2,0.5 mV\n", "weight_mV is '0.5 mV'"),
    "a short row": ("pre,post,weight_mV\n0,2,0.5\n1,3\n", "line 3 of t.csv has 2 cells, and there are 3 names"),
    "a long row": ("pre,post,weight_mV\n0,2,0.5,7\n", "line 2 of t.csv has 4 cells, and there are 3 names"),
    "decimal commas between commas": ("pre,post,weight_mV\n0,2,0,5\n", "is a decimal comma among them?"),
    "a quoted decimal comma": ('pre,post,weight_mV\n0,2,"0,5"\n', "write a decimal point"),
    "points and commas": ("pre;post;weight_mV\n0;2;0,5\n1;2;0.5\n", "decimal points and decimal commas"),
    "thousands": ("pre;post;weight_mV\n0;2;1.000,5\n", "weight_mV is '1.000,5', which is no number in line 2"),
    "another separator": ("pre|post|weight_mV\n0|2|0.5\n", "t.csv has no column 'pre': it has pre|post|weight_mV"),
    "either of two separators": ("pre,a;post,b;weight_mV,c;d\n1,2;1,2;1,2;3\n", "may be separated by commas or by semicolons"),
    "rows separated otherwise": ("pre,post,weight_mV\n0;2;0.5\n", "1 cell, and there are 3 names of columns: cells are"),
    "an open quote": ('pre,post,weight_mV\n0,2,0.5\n1,"3,0.5\n0,1,1\n', "is a quotation mark not closed?"),
    "names of rows": ("pre,post,weight_mV\nr1,0,2,0.5\n", "line 2 of t.csv has 4 cells"),
    "a name twice": ("pre,post,weight_mV,pre\n0,2,0.5,1\n", "several columns 'pre'"),
    "a name in two cases": ("Pre,post,weight_mV,PRE\n0,2,0.5,1\n", "t.csv has the columns 'Pre' and 'PRE'"),
    "no names": ("0,2,0.5\n1,3,0.5\n", "t.csv has no column 'pre': it has 0, 2, 0.5"),
    "nothing": ("", "t.csv has no column 'pre': it is empty"),
    "comments alone": ("# nothing\n", "t.csv has no column 'pre'"),
    "a long line": ("x" * (1 << 24), "line 1 of t.csv is too long"),
    "a long third line": (f"pre,post,weight_mV\n0,1,2\n{' ' * (1 << 24)}\n", "line 3 of t.csv is too long"),
    "a long cell": (f"pre,post,weight_mV\n0,1,{'x' * 200_000}\n", "t.csv cannot be read: field larger than field limit"),
    "no text": ("pre\0,post,weight_mV\n0,1,\0\n", "t.csv"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_text_table_is_said_by_line_and_column(tmp_path, name):
    content, message = BROKEN[name]
    assert message in refused(asked_for, text(tmp_path / "t.csv", content))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_named(tmp_path, encoding):
    assert "not UTF-8" in refused(edges, text(tmp_path / "t.csv", "pre,post,µ\n0,1,2\n", encoding))


def test_a_table_without_rows_is_one(tmp_path):
    assert read(text(tmp_path / "t.csv", "x_ms,y_mV\n"), "x_ms", "y_mV") == {"x_ms": [], "y_mV": []}


def test_the_lines_of_a_huge_table_are_estimated(tmp_path, monkeypatch):
    monkeypatch.setattr("snnrun.tables.csv._COUNTED", 1 << 20)
    found = tables.edges(text(tmp_path / "t.csv", "pre,post\n" + "1,2\n" * (1 << 20)))
    assert found.length("pre") == pytest.approx(1 << 20, rel=1e-4) and found.read(["pre"])["pre"].size == 1 << 20


def test_many_rows_are_read_as_few_are(tmp_path):
    rows = "".join(f"{i},{i + 1},{i / 8}\n# {i}\n" for i in range(70_000))
    found = edges(text(tmp_path / "t.csv", f"pre,post,weight_mV\n{rows}"))
    assert found["pre"] == list(range(70_000)) and found["weight_mV"][-1] == 69_999 / 8
    assert tables.edges(tmp_path / "t.csv").place(69_999) == "in line 140000"
    text(tmp_path / "t.csv", f"pre,post,weight_mV\n{rows}0,1\n")
    assert "line 140002 of t.csv has 2 cells" in refused(edges, tmp_path / "t.csv")


def test_a_unit_whose_case_matters_is_not_guessed(tmp_path):
    assert tables.edges(text(tmp_path / "t.csv", "pre,post,weight_MS\n")).columns == ("pre", "post", "weight_MS")


# ---- NPZ -------------------------------------------------------------------------------------------------------------

NO_ROW = {
    "two dimensions": np.zeros((2, 2)),
    "none": np.float64(3),
    "texts": np.array(["a"]),
    "complex numbers": np.array([1j]),
    "records": np.zeros(2, [("a", "f8"), ("ü", "f8")]),
    "dates": np.array(["2001-01-01"], "M8[D]"),
    "objects": np.array([1, None], object),
}


@pytest.mark.parametrize("name", NO_ROW)
def test_what_is_no_row_of_numbers_is_refused_by_its_header(tmp_path, name):
    np.savez(tmp_path / "t.npz", x_ms=NO_ROW[name])
    for look in (tables.parameters(tmp_path / "t.npz").length, lambda c: tables.parameters(tmp_path / "t.npz").cost([c])):
        assert "no one-dimensional array of numbers" in refused(look, "x_ms")


# ---- SONATA ----------------------------------------------------------------------------------------------------------


def sonata(path, groups, types=None, **per_edge):
    """An edge population `x` of three edges 0, 1, 2 -> 0, 1, 2, with datasets of groups and of edges."""
    with h5py.File(path, "w") as file:
        group = file.create_group("edges/x")
        group["source_node_id"], group["target_node_id"] = np.arange(3, dtype=np.uint64), np.arange(3, dtype=np.uint64)
        for name, values in per_edge.items():
            group[name] = values
        for number, columns in groups.items():
            group.create_group(str(number))
            for name, values in columns.items():
                group[f"{number}/{name}"] = values
    if types is not None:
        text(path.with_name("types.csv"), types)
    return path


def test_rows_of_a_group_are_reached_by_their_index(tmp_path):
    path = sonata(tmp_path / "e.h5", {0: {"syn_weight": [1.0, 2.0, 3.0], "delay": [1.0, 2.0, 3.0]}},
                  edge_group_id=[0, 0, 0], edge_group_index=[2, 0, 1])  # fmt: skip
    found = edges(path)
    assert (found["syn_weight"], found["delay_ms"]) == ([3, 1, 2], [3, 1, 2])


def test_several_groups_and_types_give_each_edge_its_properties(tmp_path):
    """Those of its group go before those of its type, as bmtk reads them."""
    types = "edge_type_id syn_weight delay nsyns\n7 10 1.5 NULL\n9 20 2.5 4\n"
    path = sonata(tmp_path / "e.h5", {0: {"syn_weight": [1.0]}, 3: {"nsyns": [5, 6]}}, types,
                  edge_group_id=[3, 0, 3], edge_group_index=[1, 0, 0], edge_type_id=[7, 9, 9])  # fmt: skip
    found = edges(path, types=tmp_path / "types.csv")
    assert (found["pre"], found["post"]) == ([0, 1, 2], [0, 1, 2])
    assert (found["syn_weight"], found["delay_ms"], found["nsyns"]) == ([10, 1, 20], [1.5, 2.5, 2.5], [6, 4, 5])


def test_types_of_other_populations_do_not_count(tmp_path):
    types = "edge_type_id population syn_weight target_query\n7 y 1 *\n7 x 2 \"ei == 'e'\"\n"
    path = sonata(tmp_path / "e.h5", {}, types, edge_type_id=[7, 7, 7])
    assert edges(path, types=tmp_path / "types.csv")["syn_weight"] == [2, 2, 2]


def test_what_is_not_read_of_edges_is_named(tmp_path):
    path = sonata(tmp_path / "e.h5", {0: {"nsyns": [1, 1, 1]}}, edge_type_id=[7, 7, 9])
    (note,) = tables.edges(path).notes
    assert "edge types and no syn_weight and no delay" in note[0] and "types: edge_types.csv" in note[1]
    names = "edge_type_id syn_weight delay dynamics_params model_template"
    text(tmp_path / "types.csv", f"{names}\n7 1 1 a.json stdp\n9 1 1 NULL NULL\n")
    (note,) = tables.edges(path, types=tmp_path / "types.csv").notes
    assert note[0] == "of types.csv is not read: dynamics_params and model_template (stdp)"


FULL = {"edge_group_id": [0, 0, 1], "edge_group_index": [0, 1, 0], "edge_type_id": [7, 7, 9]}
GROUPS = {0: {"syn_weight": [1.0, 2.0]}, 1: {"syn_weight": [3.0]}}
TYPES = "edge_type_id delay\n7 1\n9 1\n"
BAD_SONATA = {
    "a group that is not there": (GROUPS, TYPES, {"edge_group_id": [0, 0, 2]}, "no edge group 2, which is named at index 2"),
    "a row that is not there": (GROUPS, TYPES, {"edge_group_index": [0, 2, 0]}, "2 values of syn_weight, too few at index 1"),
    "a negative row": (GROUPS, TYPES, {"edge_group_index": [0, -1, 0]}, "too few at index 1"),
    "a huge row": (GROUPS, TYPES, {"edge_group_index": np.uint64([0, 2**63, 0])}, "is 9223372036854775808 at index 1"),
    "a fractional row": (GROUPS, TYPES, {"edge_group_index": [0.0, 1.0, 0.0]}, "edge_group_index of e.h5 is no array of whole"),
    "no rows": (GROUPS, TYPES, {"edge_group_index": None}, "several edge groups and no edge_group_index"),
    "no groups": (GROUPS, TYPES, {"edge_group_id": None}, "several edge groups and no edge_group_id"),
    "too few groups": (GROUPS, TYPES, {"edge_group_id": [0, 0]}, "differ in length"),
    "a weight in one group alone": (GROUPS | {1: {}}, TYPES, {}, "edge type 9) in group 1 at index 2 of e.h5 has no syn_weight"),
    "a type that is not there": (GROUPS, "edge_type_id delay\n7 1\n", {}, "edge type 9 is not in types.csv"),
    "a type without a value": (GROUPS, "edge_type_id delay\n7 1\n9 NULL\n", {}, "(edge type 9) in group 1 at index 2"),
    "a type twice": (GROUPS, "edge_type_id delay\n7 1\n7 1\n", {}, "edge_type_id 7 in line 3 of types.csv is given twice"),
    "a word in the types": (GROUPS, "edge_type_id delay\n7 1\n9 long\n", {}, "delay is 'long' in line 3 of types.csv"),
    "nan in the types": (GROUPS, "edge_type_id delay\n7 1\n9 inf\n", {}, "delay is 'inf' in line 3 of types.csv"),
    "types without numbers": (GROUPS, "type delay\n7 1\n", {}, "types.csv has no column 'edge_type_id'"),
    "a function in the types": (GROUPS, "edge_type_id delay weight_function\n7 1 NULL\n9 1 w\n", {},
                                "weight_function 'w' in line 3 of types.csv is code"),
    "a function in a group": (GROUPS | {1: {"weight_function": [1.0]}}, TYPES, {}, "group 1 of e.h5 has a weight_function"),
    "far more rows than edges": ({0: {"syn_weight": np.zeros(2**20 + 4)}}, TYPES, {}, "1,048,580 values of syn_weight"),
    "no types of edges": (GROUPS, TYPES, {"edge_type_id": None}, "has no edge_type_id"),
    "weights in two dimensions": (GROUPS | {1: {"syn_weight": [[3.0]]}}, TYPES, {}, "no one-dimensional array of numbers"),
    "groups of one file too short": ({0: {"syn_weight": [1.0]}}, TYPES, {"edge_group_id": None, "edge_group_index": None},
                                     "1 values of syn_weight, too few for 3 edges"),  # fmt: skip
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SONATA)
def test_what_is_wrong_with_edges_of_sonata_is_said(tmp_path, name):
    groups, types, changed, message = BAD_SONATA[name]
    datasets = {key: values for key, values in (FULL | changed).items() if values is not None}
    path = sonata(tmp_path / "e.h5", groups, types, **datasets)
    assert message in refused(edges, path, types=tmp_path / "types.csv")


def test_options_of_sonata_are_for_its_files(tmp_path):
    text(tmp_path / "e.csv", "pre,post\n0,1\n")
    assert "population is for SONATA" in refused(edges, tmp_path / "e.csv", population="x")
    assert "types is for SONATA" in refused(edges, tmp_path / "e.csv", types=tmp_path / "types.csv")
    text(tmp_path / "t.csv", "neuron,time_ms\n0,1\n")
    assert "no populations" in refused(trains, tmp_path / "t.csv", "x")


# ---- trains ----------------------------------------------------------------------------------------------------------


def spikes(path, **populations):
    with h5py.File(path, "w") as file:
        file.create_group("spikes")
        for name, (times, nodes, unit) in populations.items():
            file[f"spikes/{name}/timestamps"], file[f"spikes/{name}/node_ids"] = np.float64(times), np.uint64(nodes)
            if unit is not None:
                file[f"spikes/{name}/timestamps"].attrs["units"] = unit
    return path


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1), (b"ms", 1), (None, 1), ("s", 1000), ("seconds", 1000), ("us", 1e-3)])
def test_spikes_of_sonata_are_read_in_their_unit(tmp_path, unit, factor):
    path = spikes(tmp_path / "s.h5", a=([2.0, 1.0], [0, 3], unit))
    assert trains(path) == [(0, 2 * factor), (3, factor)]


def test_a_population_is_named_where_there_are_several(tmp_path):
    path = spikes(tmp_path / "s.h5", a=([1.0], [0], "ms"), b=([2.0], [1], "ms"))
    assert trains(path, "b") == [(1, 2.0)]
    csv = text(tmp_path / "s.csv", "timestamps population node_ids\n1.0 a 0\n2.0 b 1\n")
    assert trains(csv, "b") == [(1, 2.0)] and tables.trains(csv, "b").place(0) == "in line 3"
    for each in (path, csv):
        assert "populations a, b: name one: population: ..." in refused(trains, each)
        assert "'c': it has a, b" in refused(trains, each, "c")
    assert trains(text(csv, "timestamps population node_ids\n1.0 a 0\n")) == [(0, 1.0)]
    assert trains(text(csv, "timestamps node_ids\n1.0 0\n")) == [(0, 1.0)]


def test_broken_spikes_of_sonata_are_named(tmp_path):
    assert "timestamps of s.h5 are in 'fortnights'" in refused(trains, spikes(tmp_path / "s.h5", a=([1.0], [0], "fortnights")))
    assert "differ in length" in refused(trains, spikes(tmp_path / "s.h5", a=([1.0], [0, 1], "ms")))
    assert "no spike population" in refused(trains, spikes(tmp_path / "s.h5"))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["spikes/timestamps"], file["spikes/gids"] = [1.0], [0]  # as it was before there were populations
    assert trains(tmp_path / "s.h5") == [(0, 1.0)]
    assert "one population without a name" in refused(trains, tmp_path / "s.h5", "gids")
