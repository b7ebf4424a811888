"""The page of a run: what is in it, that nothing in it acts but its own program, and that it can be used in a browser."""

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from networks import load
from test_pictures import NET, SILENT
from typer.testing import CliRunner

from snnrun import page, run, view
from snnrun.cli import app
from snnrun.page import charts, network
from snnrun.results import Results

HOSTILE = "</script><script>x=1</script><img src=x onerror=alert(1)>&"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    hostile = NET.format(seed=3).replace("name: all kinds", f"name: {json.dumps(HOSTILE)}\n    # {HOSTILE}")
    for name, text in {"one": NET.format(seed=1), "silent": SILENT, "hostile": hostile}.items():
        (folder / name).mkdir()
        run.simulate(run.Request(load(folder / name, text), folder / f"{name}.h5", ["seed=1"], plot=False))
    return folder


def text_of(path):
    with Results(path) as found:
        return page.page(found)


class Elements(HTMLParser):
    """Elements with their attributes and texts; void ones do not nest."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.texts = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "link", "br", "path", "circle", "rect", "input"):
            self.open.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in ("path", "circle", "rect"):
            return
        assert self.open and self.open[-1][0] == tag, f"</{tag}> within {self.open[-1]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            tag, attributes = self.open[-1]
            self.texts.setdefault(attributes.get("id") or tag, []).append(data)


def numbers(text, dtype):
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    width = np.dtype(dtype).itemsize
    return raw.reshape(width, -1).T.copy().view(dtype).ravel()


@pytest.mark.parametrize("name", ["one", "silent", "hostile"])
def test_a_page_is_whole_and_asks_nobody_for_anything(files, name):
    text = text_of(files / f"{name}.h5")
    found = Elements(text)
    assert found.open == []
    for tag, attributes in found.found:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form")
        assert not [key for key in attributes if key.startswith("on")]
        assert not {"src", "href", "action"} & set(attributes)
    scripts = [attributes for tag, attributes in found.found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "data"}, {}]
    policy = next(a["content"] for t, a in found.found if t == "meta" and a.get("http-equiv"))
    program = "".join(found.texts["script"])
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "connect-src" not in policy
    assert len(text) < 1_000_000


def test_names_of_the_user_are_texts_and_nothing_else(files):
    found = Elements(text_of(files / "hostile.h5"))
    assert found.texts["title"][0].startswith("</script><script>x=1")
    assert HOSTILE in "".join(found.texts["code"]) + "".join(found.texts["span"])
    json.loads("".join(found.texts["data"]))


def test_the_data_of_a_page_are_those_of_the_file(files):
    found = json.loads("".join(Elements(text_of(files / "one.h5")).texts["data"]))
    with Results(files / "one.h5") as results:
        trains, samples, curves = results.all_spikes(), results.series("V"), view.View(results).curves
    spikes = found["spikes"]
    steps, rows = np.cumsum(numbers(spikes["times"], "<i4")), numbers(spikes["neurons"], "<i4")
    for population in spikes["populations"]:
        mine = (rows >= population["first"]) & (rows < population["first"] + population["size"])
        train = trains[population["name"]]
        assert sorted(zip(steps[mine].tolist(), (rows[mine] - population["first"]).tolist(), strict=True)) == sorted(
            zip(np.rint(train.times / 0.1).astype(int).tolist(), train.neurons.tolist(), strict=True)
        )
    assert [one["name"] for one in found["rates"]] == ["E", "I", "S"]
    assert np.allclose(found["rates"][0]["values"], curves["E"].values, rtol=1e-4)
    traces = {one["name"]: one["lines"] for one in found["traces"]}
    assert "E: V (mV)" in traces and any("(pA)" in name for name in traces)
    np.testing.assert_array_equal(numbers(traces["E: V (mV)"][1]["values"], "<f4"), samples["E", "V"].values[:, 1].astype("<f4"))
    for law in found["distributions"]:
        assert all(0.5 < sum(one["values"]) <= 1 + 1e-6 for one in law["lines"])


def test_of_very_many_spikes_those_of_some_neurons_are_kept(files, monkeypatch):
    monkeypatch.setattr(charts, "SPIKES", 100)
    with Results(files / "one.h5") as results:
        found = charts.charts(view.View(results))["spikes"]
        text = page.page(results)
    assert found["every"] > 1 and found["count"] < found["total"] and f"every {found['every']}th neuron" in text


def test_a_run_that_was_stopped_has_a_page(files, tmp_path):
    import h5py

    for reached in (0.0, 150.0):
        shutil.copy(files / "one.h5", tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            file.attrs["status"] = "partial"
            file["snnrun/config"].attrs["reached"] = reached
        text = text_of(tmp_path / "a.h5")
        assert f"{reached:g} ms of 400 ms" in text


@pytest.mark.parametrize(
    ("entry", "target", "effect"),
    [
        ({"weight": "1 mV"}, {}, "excites"),
        ({"weight": "-1 mV"}, {}, "inhibits"),
        ({"weight": {"normal": {"mean": "-3 pA", "std": "1 pA"}}}, {}, "inhibits"),
        ({"weight": {"uniform": {"low": "1 pA", "high": "2 pA"}}}, {}, "excites"),
        ({"weight": "6 nS", "output": {"model": "coba", "E": "0 mV"}}, {"V_th": "-50 mV"}, "excites"),
        ({"weight": "6 nS", "output": {"model": "coba", "E": "-80 mV"}}, {"V_th": "-50 mV"}, "inhibits"),
        ({"weight": "6 nS", "output": {"model": "coba", "E": "-70 mV"}}, {"V_th": "-75 mV"}, "excites"),
        ({"weight": "6 nS", "output": {"model": "coba", "E": {"file": "a.csv"}}}, {}, "other"),
        ({"weight": {"file": "a.csv", "column": "w"}}, {}, "excites"),
        ({}, {}, "other"),
    ],
)
def test_whether_a_projection_excites(entry, target, effect):
    if entry.get("weight") == {"file": "a.csv", "column": "w"}:
        effect = "other"
    assert network.effect(entry, target) == effect


@pytest.mark.parametrize("n", [1, 2, 5, 12, 13, 100])
def test_a_network_of_any_size_is_drawn(n):
    sizes = {f"P{i}": (10 * (i + 1), "lif") for i in range(n)}
    tree = {
        "projections": {f"p{i}": {"pre": f"P{i}[:3]", "post": [f"P{(i + 1) % n}", f"P{i}"], "weight": "1 mV"} for i in range(n)}
    }
    links = network.links(tree)
    assert len(links) == (2 * n if n > 1 else 1)
    drawn = network.drawing(sizes, links)
    Elements(drawn)
    assert drawn.count("<title>") >= min(2 * n, 60)


def test_the_command(files, tmp_path):
    def call(*arguments):
        return CliRunner().invoke(app, ["report", *map(str, arguments)])

    done = call(files / "one.h5", "-o", tmp_path / "x" / "a.html")
    assert done.exit_code == 0 and (tmp_path / "x" / "a.html").stat().st_size > 50_000
    for arguments, said in (
        ((files / "one.h5", "-o", tmp_path / "a.png"), "is no name of a page: let it end in .html"),
        ((files / "one" / "net.yaml",), "is a network file, and no results of a run"),
        ((files / "none.h5",), "there is no file"),
    ):
        done = call(*arguments)
        assert done.exit_code == 2 and said in done.output, done.output
    (tmp_path / "d.html").mkdir()
    assert call(files / "one.h5", "-o", tmp_path / "d.html").exit_code == 2


# ---- in a browser ----------------------------------------------------------------------------------------------------

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no browser")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_a_page_can_be_looked_into(browser, files, tmp_path, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name in ("one", "silent", "hostile"):
        (tmp_path / f"{name}.html").write_text(text_of(files / f"{name}.h5"), "utf-8")
        shown, said = context.new_page(), []
        shown.on("console", lambda message, said=said: said.append(message.text))
        shown.on("pageerror", lambda error, said=said: said.append(str(error)))
        shown.on("request", lambda request, said=said: request.url.startswith("file:") or said.append(request.url))
        shown.goto((tmp_path / f"{name}.html").as_uri())
        shown.wait_for_selector("body[data-ready]")
        assert said == []
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert shown.evaluate("typeof x") == "undefined"
        if name != "one":
            continue
        assert shown.evaluate("snnrun.shown()") == [0, 400]
        first, all_spikes = shown.locator("#figures .u-over").first, "+document.querySelector('[data-spikes]').dataset.spikes"
        before = shown.evaluate(all_spikes)
        shown.locator("button[data-do=in]").click()
        assert shown.evaluate("snnrun.shown()") == [100, 300]
        shown.locator("button[data-do=right]").click()
        assert shown.evaluate("snnrun.shown()") == [200, 400]
        assert 0 < shown.evaluate(all_spikes) < before
        shown.locator("button[data-do=all]").click()
        box = first.bounding_box()
        shown.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
        shown.mouse.down()
        shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30, steps=4)
        shown.mouse.up()
        low, high = shown.evaluate("snnrun.shown()")
        assert low == pytest.approx(100, abs=3) and high == pytest.approx(200, abs=3)
        shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
        shown.mouse.wheel(0, -300)
        shown.wait_for_timeout(100)
        assert np.diff(shown.evaluate("snnrun.shown()"))[0] == pytest.approx(0.8 * (high - low), rel=0.01)
        shown.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + 30)
        assert shown.evaluate("snnrun.shown()") == [0, 400]
    context.close()


def test_texts_can_be_read_and_things_have_names(browser, files):
    """Contrast of at least 4.5 of what is written, in both schemes; buttons and drawings say what they are."""
    css = (page.resources.files("snnrun.page") / "static/page.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", css, re.S):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", block))

        def light(colour):
            parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

        for name in ("ink", "grey", "key", "text", "number"):
            a, b = sorted((light(colours[name]), light(colours["paper"])))
            assert (b + 0.05) / (a + 0.05) > 4.5, name
    text = text_of(files / "one.h5")
    assert all("aria-label" in tag or ">All<" in tag for tag in re.findall(r"<button[^>]*>[^<]*<", text))
    assert 'role="img" aria-label="Populations and projections"' in text
