"use strict";
// Draws the figures of a page from the data in it, and lets them be zoomed and moved together.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const escaped = text => Object.assign(document.createElement("p"), { textContent: text }).innerHTML; // uPlot takes HTML
  let data = null, timeline = [], others = [];

  async function unpacked(text, Type) {
    const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const shuffled = new Uint8Array(await new Response(stream).arrayBuffer());
    const width = Type.BYTES_PER_ELEMENT, count = shuffled.length / width, plain = new Uint8Array(shuffled.length);
    for (let b = 0; b < width; b++) for (let i = 0; i < count; i++) plain[i * width + b] = shuffled[b * count + i];
    return new Type(plain.buffer);
  }

  // ---- time: all charts of it show the same part

  let shown = null;
  function show(low, high) {
    const least = data.start, most = data.stop, span = Math.min(Math.max(high - low, 1e-3), most - least);
    low = Math.min(Math.max(low, least), most - span);
    shown = [low, low + span];
    for (const chart of timeline) if (chart.scales.x.min !== low || chart.scales.x.max !== low + span) chart.setScale("x", { min: low, max: low + span });
  }
  const zoom = (at, factor) => show(at - (at - shown[0]) * factor, at + (shown[1] - at) * factor);
  const move = share => { const by = share * (shown[1] - shown[0]); show(shown[0] + by, shown[1] + by); };
  const all = () => show(data.start, data.stop);

  function handled(chart) {
    const over = chart.over;
    over.addEventListener("wheel", event => {
      if (Math.abs(event.deltaY) < Math.abs(event.deltaX)) { event.preventDefault(); move(event.deltaX / over.clientWidth); return; }
      event.preventDefault();
      zoom(chart.posToVal(event.offsetX, "x"), event.deltaY < 0 ? 0.8 : 1.25);
    }, { passive: false });
    let from = null;
    const begin = event => { if (event.shiftKey || event.pointerType === "touch") { from = [event.clientX, ...shown]; over.setPointerCapture(event.pointerId); if (event.shiftKey) event.stopImmediatePropagation(); } };
    over.addEventListener("pointerdown", begin, true);
    over.addEventListener("mousedown", event => { if (event.shiftKey) event.stopImmediatePropagation(); }, true);
    over.addEventListener("pointermove", event => {
      if (from) { const by = (from[0] - event.clientX) / over.clientWidth * (from[2] - from[1]); show(from[1] + by, from[2] + by); }
    });
    for (const end of ["pointerup", "pointercancel"]) over.addEventListener(end, () => { from = null; });
    over.addEventListener("dblclick", event => { event.stopImmediatePropagation(); all(); }, true);
  }

  // ---- charts

  const long = () => data.stop - data.start >= 10000;
  const inTime = value => long() ? +(value / 1000).toPrecision(8) : +value.toPrecision(8);
  function axis(label, more) {
    return { label, stroke: css("--grey"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, labelSize: 22, font: "12px system-ui", labelFont: "12px system-ui", ...more };
  }
  const short = value => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential() : String(+value.toPrecision(6));
  const upright = label => axis(label, { size: 62, values: (_, ticks) => ticks.map(v => v == null ? "" : short(v)) });
  const horizontal = last => axis(last ? (long() ? "time (s)" : "time (ms)") : "", { labelSize: last ? 22 : 0, values: (_, ticks) => ticks.map(inTime) });

  function place(parent, title) {
    const box = document.createElement("div");
    if (title) box.append(Object.assign(document.createElement("h3"), { textContent: title }));
    parent.append(box);
    return box;
  }
  const width = box => Math.max(box.clientWidth, 200);

  function made(box, options, values, wide) {
    const chart = new uPlot({ width: width(box), ...options }, values, box);
    chart.root.dataset.height = options.height;
    (wide ? timeline : others).push(chart);
    if (wide) handled(chart);
    return chart;
  }

  function ofTime(box, options, values) {
    return made(box, {
      ...options,
      cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false, setScale: true }, points: { show: false } },
      scales: { x: { time: false, range: (_, low, high) => [low, high] }, ...options.scales },
      hooks: { setScale: [(u, key) => { if (key === "x" && shown && (u.scales.x.min !== shown[0] || u.scales.x.max !== shown[1])) show(u.scales.x.min, u.scales.x.max); }], ...options.hooks },
    }, values, true);
  }

  async function raster(parent, spikes) {
    const steps = await unpacked(spikes.times, Int32Array), rows = await unpacked(spikes.neurons, Int32Array);
    const times = new Float64Array(steps.length);
    for (let i = 0, t = 0; i < steps.length; i++) { t += steps[i]; times[i] = t * spikes.step; }
    const of = new Uint16Array(spikes.rows);
    spikes.populations.forEach((p, i) => of.fill(i, p.first, p.first + p.size));
    const paint = spikes.populations.map(p => parseInt(p.colour.slice(1), 16)).map(c => (c & 0xff) << 16 | c & 0xff00 | c >> 16 & 0xff);
    const first = x => { let low = 0, high = times.length; while (low < high) { const m = low + high >> 1; if (times[m] < x) low = m + 1; else high = m; } return low; };
    const named = row => { const p = spikes.populations[of[Math.min(Math.max(row, 0), spikes.rows - 1)]]; return p ? `${p.name}[${row - p.first + p.low}]` : ""; };
    const box = place(parent, "Spikes");
    const sheet = document.createElement("canvas");
    const alone = spikes.populations.length === 1 ? spikes.populations[0] : null;
    function drawn(u) {
      const { left, top, width, height } = u.bbox, x0 = u.scales.x.min, x1 = u.scales.x.max, y0 = u.scales.y.min, y1 = u.scales.y.max;
      const begin = first(x0), end = first(x1 + 1e-9), ratio = devicePixelRatio || 1;
      const tall = height / Math.max(y1 - y0, 1), count = Math.max((end - begin) * Math.min((y1 - y0) / spikes.rows, 1), 1);
      const wide = Math.round(Math.min(Math.max(ratio * 2 * Math.sqrt(6000 / count), 1), 3 * ratio));
      const high = Math.round(Math.min(Math.max(tall * 0.7, wide), 14 * ratio));
      const strength = Math.round(Math.min(Math.max(255 * width * height / (count * wide * high), 60), 255)); // of one spike among many
      sheet.width = width; sheet.height = height;
      const context = sheet.getContext("2d"), image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
      for (let i = begin; i < end; i++) {
        const x = Math.round((times[i] - x0) / (x1 - x0) * width - wide / 2), y = Math.round((rows[i] + 0.5 - y0) / (y1 - y0) * height - high / 2);
        const colour = paint[of[rows[i]]];
        for (let b = Math.max(y, 0); b < Math.min(y + high, height); b++) for (let a = Math.max(x, 0); a < Math.min(x + wide, width); a++) { const at = b * width + a; pixels[at] = Math.min((pixels[at] >>> 24) + strength, 255) << 24 | colour; }
      }
      context.putImageData(image, 0, 0);
      u.ctx.drawImage(sheet, left, top);
      u.ctx.save();
      u.ctx.strokeStyle = css("--line");
      for (const p of spikes.populations) {
        const y = top + (p.first - y0) / (y1 - y0) * height;
        if (p.first && y > top && y < top + height) { u.ctx.beginPath(); u.ctx.moveTo(left, y); u.ctx.lineTo(left + width, y); u.ctx.stroke(); }
      }
      u.ctx.restore();
      chart.root.dataset.spikes = end - begin;
    }
    const chart = ofTime(box, {
      height: Math.min(Math.max(innerHeight * 0.42, 220), 420),
      cursor: {},
      legend: { show: false },
      series: [{}, { label: "neuron", scale: "y", paths: () => null, points: { show: false } }],
      scales: { y: { range: () => [0, spikes.rows], dir: -1 } },
      axes: [horizontal(false), axis("neuron", { size: 62, values: (_, ticks) => ticks.map(v => v % 1 ? "" : String(alone ? v + alone.low : v)) })],
      hooks: { draw: [drawn] },
    }, [[data.start, data.stop], [null, null]]);
    if (spikes.populations.length > 1 && spikes.populations.length <= 40) {
      const names = document.createElement("p");
      names.className = "note";
      for (const p of spikes.populations) names.append(Object.assign(document.createElement("span"), { textContent: `${p.name}  `, style: `color:${p.colour};font-weight:600;margin-right:10px` }));
      box.append(names);
    }
    const pointed = Object.assign(document.createElement("p"), { className: "note", textContent: `${spikes.count.toLocaleString("en")} spikes` });
    chart.over.addEventListener("mousemove", event => { pointed.textContent = `${named(Math.floor(chart.posToVal(event.offsetY, "y")))} at ${inTime(chart.posToVal(event.offsetX, "x")).toFixed(long() ? 3 : 1)} ${long() ? "s" : "ms"}`; });
    box.append(pointed);
  }

  const stroke = (colour, more) => ({ stroke: colour, width: 1.4, points: { show: false }, ...more });
  const line = one => stroke(one.colour, { label: escaped(one.name), value: (_, v) => v == null ? "" : short(v) });

  function steps(edges, values) { // a histogram or a rate as a line of steps
    const x = [], y = [];
    values.forEach((v, i) => { x.push(edges[i], edges[i + 1]); y.push(v, v); });
    return [x, y];
  }

  function rates(parent, lines) {
    const box = place(parent, "Rates");
    const tables = lines.map(one => steps(one.edges, one.values));
    const joined = tables.length === 1 ? [tables[0][0], tables[0][1]] : uPlot.join(tables.map(t => {
      const x = [], y = []; // join wants each x once: a step begins just after its edge
      t[0].forEach((v, i) => { x.push(i % 2 ? v : v + 1e-9 * Math.max(1, Math.abs(v))); y.push(t[1][i]); });
      return [x, y];
    }));
    ofTime(box, {
      height: 190,
      series: [{ label: "time", value: (_, v) => v == null ? "" : inTime(v) + (long() ? " s" : " ms") }, ...lines.map(one => ({ ...line(one), spanGaps: true, value: (_, v) => v == null ? "" : short(v) + " Hz" }))],
      scales: { y: { range: (_, low, high) => [0, (high || 1) * 1.05] } },
      axes: [horizontal(true), upright("rate (Hz)")],
    }, joined);
  }

  async function traces(parent, chart) {
    const box = place(parent, chart.name);
    const columns = [], longest = chart.lines.reduce((a, b) => b.count > a.count ? b : a);
    for (const one of chart.lines) columns.push(Array.from(await unpacked(one.values, Float32Array), v => Number.isFinite(v) ? v : null));
    const x = Array.from({ length: longest.count }, (_, i) => longest.start + i * longest.step);
    const even = chart.lines.every(one => one.count === longest.count && one.start === longest.start);
    ofTime(box, {
      height: 200,
      series: [{ label: "time", value: (_, v) => v == null ? "" : inTime(v) + (long() ? " s" : " ms") }, ...chart.lines.map(line)],
      scales: { y: { range: (_, low, high) => { const room = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1; return [low - room, high + room]; } } },
      axes: [horizontal(true), upright("")],
    }, even ? [x, ...columns] : uPlot.join(chart.lines.map((one, k) => [columns[k].map((_, i) => one.start + i * one.step), columns[k]])));
  }

  function small(box, x, lines, options, values) {
    made(box, {
      height: 200, cursor: { points: { show: false } },
      series: [{ label: x, value: (_, v) => v == null ? "" : short(v) }, ...lines.map(line)],
      ...options,
    }, values, false);
  }
  const decades = (_, ticks) => ticks.map(v => v == null ? "" : short(v));
  function distribution(box, law) {
    const tables = law.lines.map(one => steps(law.edges, one.values));
    small(box, "at", law.lines, {
      scales: { x: { time: false, distr: law.logarithmic ? 3 : 1 }, y: { range: (_, low, high) => [0, (high || 1) * 1.05] } },
      axes: [axis("", law.logarithmic ? { values: decades, grid: { show: false }, ticks: { show: false }, labelSize: 0 } : { labelSize: 0 }), upright(law.each)],
    }, [tables[0][0], ...tables.map(t => t[1])]);
  }
  function spectrum(box, found) {
    small(box, "Hz", found.lines, {
      scales: { x: { time: false, distr: 3 }, y: { distr: 3 } },
      axes: [axis("frequency (Hz)", { values: decades, grid: { show: false }, ticks: { show: false } }), { ...upright("Hz²/Hz"), grid: { show: false } }],
    }, [found.frequencies, ...found.lines.map(one => one.values.map(v => v > 0 ? v : null))]);
  }

  async function draw() {
    for (const chart of [...timeline, ...others]) chart.destroy();
    timeline = []; others = [];
    data = JSON.parse(document.getElementById("data").textContent);
    const parent = document.querySelector("#figures .charts"), measures = document.querySelector("#measures .charts");
    if (!data || !parent) { document.body.dataset.ready = "nothing"; return; }
    parent.replaceChildren();
    const before = shown;
    shown = null;
    if (data.spikes) await raster(parent, data.spikes);
    if (data.rates.length) rates(parent, data.rates);
    for (const chart of data.traces) await traces(parent, chart);
    shown = [data.start, data.stop];
    if (before) show(...before); else all();
    if (measures) {
      measures.replaceChildren();
      // all boxes stand in their columns before the first one is measured
      const boxes = [...data.distributions.map(law => place(measures, law.name)), data.spectrum && place(measures, "power spectrum of the rate")];
      data.distributions.forEach((law, i) => distribution(boxes[i], law));
      if (data.spectrum) spectrum(boxes.at(-1), data.spectrum);
    }
    document.body.dataset.ready = timeline.length;
  }

  // ---- what a reader does

  addEventListener("click", event => {
    const act = event.target.closest && event.target.closest("button[data-do]");
    if (!act || !shown) return;
    const middle = (shown[0] + shown[1]) / 2;
    ({ in: () => zoom(middle, 0.5), out: () => zoom(middle, 2), left: () => move(-0.5), right: () => move(0.5), all })[act.dataset.do]();
  });
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { for (const chart of [...timeline, ...others]) chart.setSize({ width: width(chart.root.parentElement), height: +chart.root.dataset.height }); }, 80);
  });
  dark.addEventListener("change", draw);
  window.snnrun = { shown: () => shown, charts: () => timeline.length };

  async function news() { // of a run that goes on, from the server that the page came from
    let known = "";
    for (;;) {
      await new Promise(done => setTimeout(done, 1000));
      try {
        const answer = await fetch("body?" + encodeURIComponent(known));
        if (answer.status === 200) {
          const found = await answer.json();
          known = found.stamp;
          const open = [...document.querySelectorAll("details")].map(one => one.open);
          document.title = found.title;
          document.querySelector("main").innerHTML = found.html;
          document.querySelectorAll("details").forEach((one, i) => { if (i < open.length) one.open = open[i]; });
          document.getElementById("data").textContent = found.data;
          if (shown && data && shown[0] === data.start && shown[1] === data.stop) shown = null; // it showed all, and goes on to
          await draw();
          if (found.complete) return;
        }
      } catch { return; } // the server has ended
    }
  }
  draw().then(() => { if (document.body.classList.contains("live")) news(); });
})();
