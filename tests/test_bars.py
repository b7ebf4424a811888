"""The bars of structure: their networks are valid, ratios are taken within a round, and the section replaces itself alone."""

import bars
import pytest
from references import table

from snnrun import check

FOUND = {"one": [{"step": 1.0}, {"step": 4.0}, {"step": 2.0}], "many": [{"step": 1.1}, {"step": 4.8}, {"step": 2.6}]}


@pytest.mark.parametrize("text", [bars.populations(4, True), bars.populations(4, False), bars.receptors(5), bars.monitors(5),
                                  bars.projections(3), *(case.text for case in bars.models()),
                                  *(case.text for case in bars.synapses())])  # fmt: skip
def test_networks_are_valid(tmp_path, text):
    (tmp_path / "net.yaml").write_text(text)
    assert not check.load(tmp_path / "net.yaml").warnings


def test_a_ratio_is_the_median_of_those_within_a_round():
    assert bars.value(FOUND, "many", "step") == 2.6
    assert bars.value(FOUND, "many", "step", "one") == pytest.approx(1.2)
    assert bars.value(FOUND, "many", "compile") is None


@pytest.mark.parametrize(("most", "good"), [(1.25, True), (1.15, False)])
def test_a_bar_is_held_or_not(most, good):
    case = bars.Case("many", "", (bars.Bar("step", most, "one"),), "one")
    assert [held for _, held in bars.held(FOUND, case)] == [good]
    assert ("NOT HELD" in bars.rows(FOUND, [case], "network")[-1]) == (not good)


def test_a_section_of_bars_leaves_the_rest_of_the_page():
    page = table.with_bars("# Page\n\nText.\n", f"{table.BARS}\n\nold\n")
    assert page == f"# Page\n\nText.\n\n{table.BARS}\n\nold\n" and table.bars_of(page) == f"{table.BARS}\n\nold\n"
    assert table.with_bars(page, f"{table.BARS}\n\nnew\n") == page.replace("old", "new")
    assert table.bars_of("# Page\n") == ""
