// Charts of latency: over time, and as a distribution.

const LABEL_FONT = '12px system-ui, sans-serif';
const QUANTILES = [['p50', 'p50'], ['p90', 'p90'], ['p95', 'p95'], ['p99', 'p99'], ['p999', 'p99.9'], ['max', 'max']];

/** Spans after the end of the run, or cut short by it, with few responses. Percentiles of a few stragglers compare with nothing. */
const FEW = (() => {
  const { ok, width } = report.timeline;
  const most = Math.max(...ok);
  return ok.map((number, index) => index > 0 && number > 0 && number < most / 10 && (index + 1) * width > report.seconds);
})();

function drawLatency(width) {
  const { timeline } = report;
  const [p50, p99] = [timeline.p50, timeline.p99].map((list) => list.map((value, index) => (FEW[index] ? 0 : value)));
  const { narrow, left, ...sides } = layout(width);
  const right = sides.right - (narrow ? 34 : 0), top = 8, bottom = top + (narrow ? 150 : 190);
  const [from, to] = surrounding([...p50, ...p99, ...timeline.max]) ?? [1e-3, 1];
  const x = scale(0, END, left, right), y = logarithmic(from, to, bottom, top);
  const parts = columns((right - left) / 2);
  const series = [['p50', p50], ['p99', p99], ['max', timeline.max]];
  const ends = [];
  const lines = series.map(([name, list], index) => {
    let path = '', single = [], broken = true, last = null;
    for (const column of parts) {
      const value = maxIn(list, column);
      if (!value) { broken = true; continue; }
      const [cx, cy] = [(x(column.from) + x(column.to)) / 2, y(value)];
      path += `${broken ? 'M' : 'L'}${cx.toFixed(1)},${cy.toFixed(1)}`;
      if (broken) single.push([cx, cy]);
      [broken, last] = [false, [cx, cy]];
    }
    if (last) ends.push({ name, index, at: last[1] });
    const few = parts.length <= 2;
    return [path && svg('path', { d: path, class: `l l${index}` }),
      (few ? single : []).map(([cx, cy]) => svg('circle', { cx, cy, r: 3.5, class: `d${index}` }))];
  });
  // Labels from top to bottom, without overlap.
  ends.sort((one, next) => one.at - next.at);
  ends.forEach((end, index) => { end.at = Math.max(end.at, index ? ends[index - 1].at + 13 : top + 4); });
  const over = Math.max(0, (ends.at(-1)?.at ?? 0) - bottom);
  const names = ends.map((end) => [svg('circle', { cx: right + 8, cy: end.at - over, r: 3.5, class: `d${end.index}` }), text(right + 15, end.at - over + 4, end.name, 'soft')]);
  const marks = decades(from, to).filter((mark) => mark.whole || to / from < 200);
  const grid = marks.map((mark) => line(left, y(mark.value), right, y(mark.value), 'grid'));
  const values = marks.map((mark) => (
    narrow ? text(left, y(mark.value) - 3, time(mark.value), 'soft halo') : text(left - 10, y(mark.value) + 4, time(mark.value), 'soft', 'end')));
  const words = `Latency over time: p50 ${time(report.latency.p50)}, p99 ${time(report.latency.p99)}, maximum ${time(report.latency.max)}`;
  const result = drawing(width, bottom + 22, words, timeAxis(x, left, right, top, bottom), grid, outages(x, top, bottom, left, right, false), lines, values, names);
  return withTooltip(result, parts, x, top, bottom, (column) => ({
    title: between(column),
    rows: series.map(([name, list], index) => [`d${index}`, name, maxIn(list, column) ? time(maxIn(list, column))
      : maxIn(timeline.max, column) ? 'too few responses' : 'no success']),
  }));
}

/** Ratio of the bounds of a bucket: the smallest ratio of successive bounds, since empty buckets are omitted. */
const BUCKET_RATIO = Math.min(2, ...report.latency.buckets.slice(1).map((bucket, index) => bucket.up_to / report.latency.buckets[index].up_to));

/** Distributes a histogram to bins that have equal widths on a logarithmic axis. */
function binned(latency, edges) {
  const bins = edges.slice(1).map(() => 0);
  const [first, ratio] = [Math.log(edges[0]), Math.log(edges[1] / edges[0])];
  let before = 0;
  for (const { up_to: to, count: number } of latency.buckets) {
    const low = Math.max(to / before < BUCKET_RATIO * 1.03 ? before : to / BUCKET_RATIO, edges[0]);
    const [start, end] = [(Math.log(low) - first) / ratio, (Math.log(Math.max(to, low)) - first) / ratio];
    const [from, last] = [start, end].map((at) => Math.min(bins.length - 1, Math.max(0, Math.floor(at))));
    for (let bin = from; bin <= last; bin++) {
      const part = end - start < 1e-9 || from === last ? 1 : (Math.min(end, bin + 1) - Math.max(start, bin)) / (end - start);
      bins[bin] += number * Math.max(0, part);
    }
    before = to;
  }
  return bins;
}

const responding = (instances) => instances.filter((instance) => instance.latency.count);

/** Draws the distribution of all latencies, and below it a lane for each of some instances. */
function drawDistribution(width, instances) {
  const names = instances.map((instance) => nameOf(instance.name));
  const { narrow, left, right, above } = layout(width);
  const [from, to] = surrounding([report.latency.min, report.latency.max]) ?? [1e-3, 1];
  const x = logarithmic(from, to, left, right);
  const number = Math.max(20, Math.round((right - left) / 5));
  const edges = Array.from({ length: number + 1 }, (_, index) => from * (to / from) ** (index / number));
  const parts = edges.slice(1).map((edge, index) => ({ from: edges[index], to: edge, index }));
  const all = binned(report.latency, edges);
  const each = instances.map((instance) => binned(instance.latency, edges));
  const most = Math.max(1, ...all), mostEach = Math.max(1, ...each.flat());
  const hasLanes = report.instances.length > 1 && instances.length > 0;
  // The height is logarithmic with a minimum, so that rare values are visible.
  const tall = (number, of) => (number <= 0 ? 0 : Math.max(0.04, Math.log1p(number) / Math.log1p(of)));

  // Percentiles that are displayed equally share a mark.
  const quantiles = [];
  for (const [field, name] of QUANTILES) {
    const shown = time(report.latency[field]);
    if (quantiles.at(-1)?.shown === shown) quantiles.at(-1).last = name;
    else quantiles.push({ first: name, last: name, shown, at: x(report.latency[field]) });
  }
  // Labels that would overlap are in different rows.
  const rows = [];
  const placed = quantiles.map(({ first, last, shown, at }) => {
    const words = `${first === last ? first : `${first} to ${last}`} ${shown}`;
    const wide = widthOf(words, LABEL_FONT);
    const start = Math.min(Math.max(at - wide / 2, left), right - wide);
    const free = rows.findIndex((end) => end < start - 10);
    const row = free < 0 ? rows.length : free;
    rows[row] = start + wide;
    return { at, words, start, y: 12 + row * 15 };
  });
  const top = Math.max(46, 16 + rows.length * 15), height = 96, lane = Math.min(34, laneHeight(instances.length)), space = lane > 20 ? 8 : 3;
  const allBottom = top + height;
  const laneBottom = (index) => allBottom + 12 + (index + 1) * (lane + above + space);
  const bottom = hasLanes ? laneBottom(instances.length - 1) + 4 : allBottom;
  const marks = placed.map(({ at, words, start, y }) => [line(at, y + 4, at, allBottom, 'mark'), text(start, y, words, 'halo')]);
  const lanes = hasLanes && instances.map((instance, index) => {
    const low = laneBottom(index);
    const shape = area(parts.map((part) => ({ from: x(part.from), to: x(part.to), high: low - (lane - 4) * tall(each[index][part.index], mostEach) })), low, `f${instances[index].colour}`);
    const { p50, p99, max } = instance.latency;
    const middle = low - lane / 2;
    return svg('g', { class: 'lane' }, line(left, low, right, low, 'base'), shape,
      line(x(p50), low - lane + 2, x(p50), low + 2, 'mark'),
      svg('path', { d: `M${x(p99)},${middle - 5}l5,5l-5,5l-5,-5z`, class: 'markfill rim' }),
      svg('circle', { cx: x(max), cy: middle, r: 3.5, class: 'markfill rim' }),
      narrow ? [label(left, low - lane - 4, names[index], right - left - 90), text(right, low - lane - 4, `p99 ${time(p99)}`, 'soft', 'end')]
        : [label(left - 10, middle + 4, names[index], left - 14, 'end'), text(right + 8, middle + 4, time(p99), 'soft')]);
  });
  // Powers of ten are labelled first, others where there is room.
  const taken = [];
  const axis = decades(from, to).sort((one, next) => next.whole - one.whole).map((mark) => {
    const words = time(mark.value), wide = widthOf(words, '11px system-ui, sans-serif') + 8;
    const start = Math.min(Math.max(x(mark.value) - wide / 2, left), right - wide);
    const isFree = taken.every((other) => start >= other.end || start + wide <= other.start);
    return [line(x(mark.value), top, x(mark.value), bottom, 'grid'), isFree && taken.push({ start, end: start + wide }) && text(start + wide / 2, bottom + 15, words, 'soft', 'middle')];
  });
  const shape = area(parts.map((part) => ({ from: x(part.from), to: x(part.to), high: allBottom - (height - 2) * tall(all[part.index], most) })), allBottom, 'all');
  const words = `Distribution of latency: ${QUANTILES.map(([field, name]) => `${name} ${time(report.latency[field])}`).join(', ')}`;
  const result = drawing(width, bottom + 22, words, axis, shape, narrow ? null : text(left - 10, allBottom - height / 2, 'all', '', 'end'),
    !narrow && hasLanes && text(right + 8, allBottom + 6, 'p99', 'soft'),
    line(left, allBottom, right, allBottom, 'axis'), lanes, line(left, bottom, right, bottom, 'axis'), marks);
  const sofar = all.map((_, index) => total(all.slice(0, index + 1)));
  return withTooltip(result, parts, x, top, bottom, (part) => ({
    title: `${time(part.from)} – ${time(part.to)}`,
    rows: [[null, 'all', `${count(all[part.index])} (${percent(all[part.index] / report.latency.count)})`],
      [null, 'up to this', percent(sofar[part.index] / report.latency.count)],
      ...instances.map((_, index) => [`f${instances[index].colour}`, names[index], each[index][part.index]]).filter((row) => row[2] >= 0.5)
        .sort((one, next) => next[2] - one[2]).slice(0, 8).map(([kind, name, number]) => [kind, name, count(number)])],
  }));
}

function latencyTable() {
  const headings = [['', 'long name'], ['responses', 'right'], ['min', 'right'], ['mean', 'right'], ...QUANTILES.map(([, name]) => [name, 'right'])];
  const row = (name, latency) => [name, count(latency.count), time(latency.min), time(latency.mean), ...QUANTILES.map(([field]) => time(latency[field]))];
  return table(headings, [row('all', report.latency), ...responding(report.instances).map((instance) => row(nameOf(instance.name), instance.latency))]);
}

function phasesTable() {
  const all = [['connect', 'TCP connection'], ['tls', 'TLS handshake'], ['first_byte', 'first byte of the response']];
  const rows = all.filter(([field]) => report.phases[field].count)
    .map(([field, name]) => { const one = report.phases[field]; return [name, count(one.count), time(one.p50), time(one.p99), time(one.max)]; });
  if (!rows.length) return null;
  return [html('h3', {}, 'Phases'), note('Time to open a connection, for each connection; and from sending a request to the start of its response, for each request.'),
    scrolling(table([['', 'long'], ['number', 'right'], ['p50', 'right'], ['p99', 'right'], ['max', 'right']], rows), 'Phases')];
}

function urlsTable() {
  if (report.urls.length < 2) return null;
  const rows = report.urls.map((one, index) => [report.asked.urls[index].url, count(one.ok), count(one.failed),
    one.ok ? time(one.latency.p50) : '–', one.ok ? time(one.latency.p99) : '–']);
  return [html('h3', {}, 'URLs'), scrolling(table([['URL', 'long name'], ['ok', 'right'], ['failed', 'right'], ['p50', 'right'], ['p99', 'right']], rows), 'URLs')];
}
