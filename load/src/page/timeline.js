// Charts of responses and failures over time.

const laneHeight = (lanes) => (lanes <= 6 ? 44 : lanes <= 16 ? 32 : lanes <= 40 ? 22 : 15);

/** Horizontal layout of all charts: names beside lanes, or above them on narrow screens. */
function layout(width) {
  const narrow = width < 600;
  const names = report.instances.map((instance) => nameOf(instance.name));
  const widest = Math.max(0, ...names.map((name) => widthOf(name)));
  const left = narrow ? 4 : Math.max(58, Math.min(width * 0.26, widest + 14));
  return { narrow, left, right: width - (narrow ? 4 : 62), above: narrow ? 18 : 0 };
}

/** Bars of failures: at their exact times if all are listed, otherwise one for each span. */
function failureBars(list, parts, x, of) {
  if (report.failures.unlisted || report.failures.by_class.unsent) {
    return parts.map((column) => ({ from: x(column.from), to: Math.max(x(column.to), x(column.from) + 2), number: sumIn(list, column) })).filter((bar) => bar.number);
  }
  const bars = new Map();
  for (const failed of report.failures.listed.filter(of)) {
    const index = Math.floor(x(failed.at) / 3);
    bars.set(index, (bars.get(index) ?? 0) + 1);
  }
  return [...bars].sort(([one], [next]) => one - next).map(([index, number]) => ({ from: index * 3, to: index * 3 + 3, number }));
}

/** Draws bars from the top down, so that failures differ from successes by more than their colour. */
function hanging(bars, top, height) {
  const most = Math.max(1, ...bars.map((bar) => bar.number));
  return area(bars.map((bar) => ({ ...bar, low: top, high: top + Math.max(4, (height * bar.number) / most) })), top, 'fail');
}

/** Places for the lanes of some instances below `start`. */
function lanesBelow(start, instances, above) {
  const height = laneHeight(instances.length), space = height > 20 ? 8 : 3;
  const low = (index) => start + (index + 1) * (height + above + space);
  return { height, low, bottom: instances.length ? low(instances.length - 1) + 4 : start };
}

/** Lanes of successful and failed responses of some instances, all to the same scale; and their labels, to be drawn above everything. */
function drawLanes(instances, lanes, parts, x, { narrow, left, right }) {
  const tallest = highest(report.instances.flatMap((instance) => parts.map((column) => rateIn(instance.ok_over_time, column)))).top;
  const lane = lanes.height;
  const labels = svg('g', {});
  const drawn = instances.map((instance, index) => {
    const low = lanes.low(index), name = nameOf(instance.name);
    const high = (value) => scale(0, tallest, low, low - lane + (lane > 20 ? 2 : 0))(Math.min(value, tallest));
    const group = svg('g', { class: 'lane' }, line(left, low, right, low, 'base'),
      area(parts.map((column) => ({ from: x(column.from), to: x(column.to), high: high(rateIn(instance.ok_over_time, column)) })), low, `f${instance.colour}`),
      hanging(failureBars(instance.failed_over_time, parts, x, (failed) => failed.instance === instance.name && instance.failed), low - lane, lane * 0.5));
    const words = instance.failed ? `${percent(instance.share)} · ${count(instance.failed)} ✕` : percent(instance.share);
    if (narrow) {
      labels.append(label(left, low - lane - 4, name, right - left - 110), text(right, low - lane - 4, words, 'soft halo', 'end'));
    } else {
      labels.append(label(left - 10, low - lane / 2 + 4, name, left - 14, 'end'), text(right + 8, low - lane / 2 + 4, percent(instance.share), 'soft'));
    }
    if (instance.joined) labels.append(...joinMark(x(instance.first), low, lane, `joined ${moment(instance.first)}`, left, right));
    if (instance.left) labels.append(...leaveMark(x(instance.last), low, lane, `left ${moment(instance.last)}`, right));
    return group;
  });
  return [drawn, labels];
}

/** Rows of a tooltip: the rates of some instances in a column, and events. */
function ratesIn(column, instances, events) {
  const rows = instances.map((instance) => [`f${instance.colour}`, nameOf(instance.name), rateIn(instance.ok_over_time, column), sumIn(instance.failed_over_time, column)])
    .filter(([, , good, bad]) => good || bad).sort((one, next) => next[2] - one[2]);
  const shown = rows.slice(0, 9).map(([kind, name, good, bad]) => [kind, name, bad ? `${rate(good)}, ${count(bad)} failed` : rate(good)]);
  if (rows.length > 9) shown.push([null, `and ${rows.length - 9} more`, rate(total(rows.slice(9).map((row) => row[2])))]);
  return [...shown, ...events];
}

function drawTimeline(width) {
  const { instances, timeline } = report;
  const sides = layout(width);
  const { narrow, left, right, above } = sides;
  const parts = columns((right - left) / 2);
  const x = scale(0, END, left, right);
  const top = 22, strip = 14, stack = narrow ? 84 : 104;
  const stackTop = top + strip, stackBottom = stackTop + stack;
  const lanes = lanesBelow(stackBottom + 14, SHOWN, above);
  const { bottom } = lanes;

  const all = parts.map((column) => rateIn(timeline.ok, column));
  const { top: most, above: over } = highest(all);
  const y = (value) => scale(0, most, stackBottom, stackTop + 2)(Math.min(value, most));
  const base = parts.map(() => 0);
  // With many instances, layers would be thinner than their borders.
  const stacked = instances.length > 16 ? [[timeline.ok, 'all']] : instances.map((instance) => [instance.ok_over_time, `f${instance.colour} rim`]);
  const layers = stacked.map(([list, kind]) => area(parts.map((column, at) => {
    const low = base[at];
    base[at] += rateIn(list, column);
    return { from: x(column.from), to: x(column.to), low: y(low), high: y(base[at]) };
  }), stackBottom, kind));
  const peak = over > 0 && parts[all.indexOf(over)];
  const beyond = peak && text(Math.min(x(peak.to) + 4, right - 90), stackTop + 12, `▲ up to ${rate(over)}`, 'soft halo');

  const laneOf = (name) => SHOWN.findIndex((instance) => instance.name === name);
  const hands = report.handovers.map((handover) => {
    const [from, to] = [laneOf(handover.left), laneOf(handover.joined)];
    if (from < 0 || to < 0) return null;
    const [x1, x2] = [x(handover.left_at), x(handover.joined_at)];
    // From the end of one lane to the start of the other.
    const down = to > from;
    const { low, height } = lanes;
    const [y1, y2] = down ? [low(from), low(to) - height + 1] : [low(from) - height, low(to) + 1];
    const bend = (y1 + y2) / 2;
    const words = `handover ${handoverWords(handover)}`;
    return svg('path', { class: 'hand', d: `M${x1},${y1}C${x1},${bend} ${x2},${bend} ${x2},${y2}`, 'marker-end': 'url(#arrow)' }, svg('title', {}, words));
  });
  const arrow = svg('defs', {}, svg('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto-start-reverse' },
    svg('path', { d: 'M0,0.5L8,4L0,7.5Z', class: 'markfill' })));

  const failed = timeline.ok.map((_, index) => total(Object.values(timeline.failed).map((list) => list[index] ?? 0)));
  const ended = END - report.seconds > END * 0.02 && [line(x(report.seconds), stackTop, x(report.seconds), bottom, 'ended'),
    text(x(report.seconds) - 4, stackTop + 10, 'end of run', 'soft halo', 'end')];
  const levels = (narrow ? [most] : [most / 2, most]).map((value) => [
    line(left, y(value), right, y(value), 'grid'),
    narrow ? text(left, y(value) - 3, rate(value), 'soft halo') : text(left - 10, y(value) + 4, rate(value), 'soft', 'end'),
  ]);
  const words = `Successful responses over time: ${plural(instances.length, 'instance')} over ${time(END)}, ${plural(report.gaps.count, 'outage')}, ${plural(report.handovers.length, 'handover')}`;
  const [drawn, labels] = drawLanes(SHOWN, lanes, parts, x, sides);
  const result = drawing(width, bottom + 22, words, arrow, timeAxis(x, left, right, stackTop, bottom), narrow ? null : levels,
    narrow ? null : text(left - 10, stackBottom + 4, '0', 'soft', 'end'),
    layers, beyond, narrow && levels, line(left, stackBottom, right, stackBottom, 'axis'), hanging(failureBars(failed, parts, x, () => true), top, strip),
    drawn, outages(x, top, bottom, left, right, true), hands, labels, ended);
  return withTooltip(result, parts, x, top, bottom, (column) => ({
    title: between(column),
    rows: [[null, 'all', rate(rateIn(timeline.ok, column))], ...ratesIn(column, instances, eventsIn(column))],
  }));
}

/** Lanes of the instances that drawTimeline has no room for. */
function drawFolded(width) {
  const sides = layout(width);
  const { left, right, above } = sides;
  const parts = columns((right - left) / 2);
  const x = scale(0, END, left, right);
  const lanes = lanesBelow(0, FOLDED, above);
  const { bottom } = lanes;
  const [drawn, labels] = drawLanes(FOLDED, lanes, parts, x, sides);
  const result = drawing(width, bottom + 22, `Successful responses over time of ${plural(FOLDED.length, 'more instance')}`,
    timeAxis(x, left, right, 0, bottom), drawn, outages(x, 0, bottom, left, right, false), labels);
  return withTooltip(result, parts, x, 0, bottom, (column) => ({ title: between(column), rows: ratesIn(column, FOLDED, []) }));
}

const handoverWords = (handover) => `${nameOf(handover.left)} → ${nameOf(handover.joined)}, ${handover.overlap >= 0
  ? `overlap ${time(handover.overlap)}` : `gap ${time(-handover.overlap)}`}`;

/** Events in a column: failures, outages, instances that joined or left. */
function eventsIn(column) {
  const within = (when) => when >= column.from && (when < column.to || column.to >= END);
  const rows = Object.entries(report.timeline.failed).map(([name, list]) => ['fail', `failed: ${name}`, sumIn(list, column)])
    .filter((row) => row[2]).map(([kind, name, number]) => [kind, name, count(number)]);
  for (const outage of report.gaps.listed.filter((outage) => outage.from < column.to && outage.to > column.from).slice(0, 3)) {
    rows.push(['fail', `outage from ${moment(outage.from, 3)}`, time(outage.to - outage.from)]);
  }
  for (const instance of report.instances) {
    if (instance.joined && within(instance.first)) rows.push([null, `${nameOf(instance.name)} joined`, moment(instance.first)]);
    if (instance.left && within(instance.last)) rows.push([null, `${nameOf(instance.name)} left`, moment(instance.last)]);
  }
  return rows.slice(0, 12);
}

/** Mark of an instance that joined, with a label before it if there is room. */
function joinMark(at, low, lane, words, left, right) {
  const small = lane < 20;
  const room = widthOf(words, '11px system-ui, sans-serif') + 12;
  const before = at - left > room;
  return [line(at, low - lane + 2, at, low, 'mark'),
    svg('path', { d: `M${at},${low - lane + 1}l6,4l-6,4z`, class: 'markfill' }),
    ...(small ? [] : [before ? text(at - 6, low - 6, words, 'soft halo', 'end') : right - at > room ? text(at + 10, low - lane + 10, words, 'soft halo') : '']),
  ];
}

/** Mark of an instance that left. */
function leaveMark(at, low, lane, words, right) {
  const small = lane < 20;
  const room = widthOf(words, '11px system-ui, sans-serif') + 12;
  const after = right - at > room;
  return [line(at, low - lane + 2, at, low, 'mark'),
    svg('rect', { x: at - 3, y: low - lane + 1, width: 6, height: 6, class: 'markfill' }),
    ...(small ? [] : [after ? text(at + 6, low - 6, words, 'soft halo') : text(at - 8, low - lane + 10, words, 'soft halo', 'end')]),
  ];
}

function timelineTable() {
  const { instances, timeline } = report;
  const headings = [['from', 'right'], ['ok', 'right'], ['failed', 'right'], ...instances.map((instance) => [nameOf(instance.name), 'right name'])];
  return table(headings, timeline.ok.map((good, index) => [moment(index * timeline.width), count(good),
    count(total(Object.values(timeline.failed).map((list) => list[index] ?? 0))), ...instances.map((instance) => count(instance.ok_over_time[index] ?? 0))]));
}

function drawFailures(width) {
  const classes = Object.entries(report.timeline.failed).filter(([, list]) => total(list));
  const { narrow, left, right, above } = layout(width);
  const parts = columns((right - left) / 2);
  const x = scale(0, END, left, right);
  const lane = 28, top = 4;
  const bottom = top + classes.length * (lane + above + 6) + 2;
  const failures = classes.map(([name, list]) => failureBars(list, parts, x, (failed) => failed.class === name));
  const most = Math.max(1, ...failures.flat().map((bar) => bar.number));
  const lanes = classes.map(([name, list], index) => {
    const low = top + (index + 1) * (lane + above + 6);
    const bars = failures[index].map((bar) => ({ ...bar, high: low - Math.max(5, ((lane - 2) * bar.number) / most) }));
    const words = count(total(list));
    return svg('g', { class: 'class' }, line(left, low, right, low, 'base'), area(bars, low, 'fail'),
      narrow ? [label(left, low - lane - 4, name, right - left - 60), text(right, low - lane - 4, words, 'soft', 'end')]
        : [label(left - 10, low - 8, name, left - 14, 'end'), text(right + 8, low - 8, words, 'soft')]);
  });
  const words = `Failures over time: ${classes.map(([name, list]) => `${count(total(list))} ${name}`).join(', ')}`;
  const result = drawing(width, bottom + 22, words, timeAxis(x, left, right, top, bottom), lanes);
  return withTooltip(result, parts, x, top, bottom, (column) => {
    const rows = eventsIn(column);
    return { title: between(column), rows: rows.length ? rows : [[null, 'nothing failed', '']] };
  });
}
