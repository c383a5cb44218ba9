// Common parts of charts: axes, outages, tooltips, tables.

const charts = [];
const ruler = document.createElement('canvas').getContext('2d');
const tip = document.getElementById('tip');

function widthOf(text, font = '12px ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace') {
  ruler.font = font;
  return ruler.measureText(text).width;
}

/** Shortens text in the middle so that it fits. */
function fitting(text, room) {
  if (widthOf(text) <= room) return text;
  const chars = [...text];
  let least = 0;
  let most = chars.length;
  const cut = (kept) => chars.slice(0, Math.ceil(kept / 2)).join('') + '…' + (kept > 1 ? chars.slice(-Math.floor(kept / 2)).join('') : '');
  while (least < most) {
    const kept = Math.ceil((least + most) / 2);
    if (widthOf(cut(kept)) <= room) least = kept;
    else most = kept - 1;
  }
  return cut(least);
}

const text = (x, y, what, kind = '', anchor = 'start') => svg('text', { x, y, class: kind, 'text-anchor': anchor }, what);
const line = (x1, y1, x2, y2, kind) => svg('line', { x1, y1, x2, y2, class: kind });

/** A name that is shortened to fit, with the full name as its tooltip. */
function label(x, y, name, room, anchor = 'start') {
  const shown = text(x, y, fitting(name, room), 'name halo', anchor);
  shown.append(svg('title', {}, name));
  return shown;
}

/** Rounds up to 1, 2 or 5 times a power of ten. */
function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

/** Upper end of an axis: the highest value, or a lower one if that is an outlier, such as the responses after an outage. */
function highest(values) {
  const sorted = values.filter((value) => value > 0).sort((one, next) => one - next);
  if (!sorted.length) return { top: 1, above: 0 };
  const most = sorted.at(-1);
  const usual = sorted[Math.floor((sorted.length - 1) * 0.95)];
  const top = most > 3 * usual ? usual * 1.5 : most * 1.04;
  const power = 10 ** Math.floor(Math.log10(top));
  const rounded = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= top * 0.9999);
  return { top: rounded, above: most > rounded ? most : 0 };
}

/** Equal steps from 0 to `end`, at most `most`. */
function steps(end, most) {
  const least = end / Math.max(1, most);
  const clock = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = least > 50 ? (clock.find((one) => one >= least) ?? roundedUp(least)) : roundedUp(least);
  return Array.from({ length: Math.floor(end / step + 1e-6) + 1 }, (_, index) => index * step);
}

/** Vertical grid lines of time with labels. */
function timeAxis(x, left, right, top, bottom) {
  const marks = steps(END, (right - left) / 74);
  const shown = (seconds) => (seconds === 0 ? '0' : seconds % 60 === 0 && END >= 120 ? `${seconds / 60} min` : time(seconds));
  return svg('g', {}, marks.map((seconds) => [
    line(x(seconds), top, x(seconds), bottom, 'grid'),
    text(x(seconds), bottom + 15, shown(seconds), 'soft', x(seconds) > right - 14 ? 'end' : 'middle'),
  ]), line(left, bottom, right, bottom, 'axis'));
}

/** Marks of a logarithmic axis: 1, 2 and 5 times powers of ten. */
function decades(from, to) {
  const marks = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const step of [1, 2, 5]) marks.push({ value: step * 10 ** power, whole: step === 1 });
  }
  return marks.filter((mark) => mark.value >= from * 0.999 && mark.value <= to * 1.001);
}

/** Range of a logarithmic axis that includes all values. */
function surrounding(values) {
  const some = values.filter((value) => value > 0);
  if (!some.length) return null;
  const below = 1 / roundedUp(1 / (Math.min(...some) * 0.97));
  return [below, roundedUp(Math.max(...some) * 1.03)];
}

const scale = (from, to, start, end) => (value) => start + ((value - from) / (to - from)) * (end - start);
const logarithmic = (from, to, start, end) => {
  const linear = scale(Math.log(from), Math.log(to), start, end);
  return (value) => linear(Math.log(Math.max(value, from)));
};

/** An area of steps above `base`, each with its start, end and height. Adjacent steps share a path. */
function area(parts, base, kind) {
  const at = (number) => number.toFixed(1);
  let path = '';
  let back = '';
  const close = () => { path += back && `${back}Z`; back = ''; };
  let end = NaN;
  for (const { from, to, low = base, high } of parts) {
    if (Math.abs(low - high) < 0.01) { close(); continue; }
    if (back && Math.abs(from - end) > 0.06) close();
    path += back ? `V${at(high)}H${at(to)}` : `M${at(from)},${at(high)}H${at(to)}`;
    back = `V${at(low)}H${at(from)}${back}`;
    end = to;
  }
  close();
  return path && svg('path', { d: path, class: kind });
}

const HATCH = () => svg('defs', {}, svg('pattern',
  { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
  line(0, 0, 0, 6, 'hatch')));

/** Outages as bands across the chart, the longest ones with a label. */
function outages(x, top, bottom, left, right, labelled) {
  const taken = [];
  const group = svg('g', {}, report.stalls.map((stall) =>
    svg('rect', { x: x(stall.from), y: top, width: Math.max(2, x(Math.min(stall.to, END)) - x(stall.from)), height: bottom - top, class: 'stall' })));
  for (const outage of [...report.gaps.listed].sort((one, next) => next.to - next.from - (one.to - one.from))) {
    const from = x(outage.from);
    const wide = Math.max(2, x(Math.min(outage.to, END)) - from);
    group.append(svg('rect', { x: from, y: top, width: wide, height: bottom - top, class: 'gap' }));
    group.append(line(from, top, from, bottom, 'gapedge'), line(from + wide, top, from + wide, bottom, 'gapedge'));
    if (!labelled) continue;
    const words = `outage ${time(outage.to - outage.from)}`;
    const half = widthOf(words, '620 12px system-ui, sans-serif') / 2 + 4;
    const middle = Math.min(Math.max(from + wide / 2, left + half), right - half);
    if (taken.some((other) => Math.abs(other.middle - middle) < other.half + half)) continue;
    taken.push({ middle, half });
    group.append(text(middle, top - 6, words, 'bad', 'middle'));
  }
  return group;
}

const swatch = (kind) => svg('svg', { viewBox: '0 0 9 9', 'aria-hidden': 'true' }, svg('rect', { width: 9, height: 9, rx: 2, class: kind }));
const legend = (...entries) => html('ul', { class: 'legend' }, entries.filter(Boolean).map(([drawn, words]) =>
  html('li', {}, svg('svg', { viewBox: '0 0 20 12', 'aria-hidden': 'true' }, drawn), words)));

function showTip(content, clientX, clientY) {
  tip.replaceChildren(html('b', {}, content.title), html('table', { role: 'presentation' }, content.rows.map(([kind, name, value]) =>
    html('tr', {}, html('td', {}, kind && swatch(kind), html('bdi', {}, name)), html('td', {}, value)))));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const beside = clientX + 16 + width > innerWidth - 8 ? clientX - 16 - width : clientX + 16;
  tip.style.left = `${Math.max(8, Math.min(beside, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(8, Math.min(clientY + 14, innerHeight - height - 8))}px`;
}

/** Adds a tooltip with exact values to a chart. The column follows the pointer and the arrow keys. */
function withTooltip(drawing, parts, x, top, bottom, describe) {
  if (!parts.length) return drawing;
  const cursor = line(0, top, 0, bottom, 'cursor');
  cursor.setAttribute('visibility', 'hidden');
  drawing.append(cursor);
  drawing.setAttribute('tabindex', '0');
  let at = -1;
  const hide = () => { tip.hidden = true; cursor.setAttribute('visibility', 'hidden'); };
  const show = (index, clientX, clientY) => {
    at = Math.max(0, Math.min(index, parts.length - 1));
    const middle = (x(parts[at].from) + x(parts[at].to)) / 2;
    cursor.setAttribute('x1', middle);
    cursor.setAttribute('x2', middle);
    cursor.setAttribute('visibility', 'visible');
    const box = drawing.getBoundingClientRect();
    showTip(describe(parts[at]), clientX ?? box.left + (middle * box.width) / drawing.viewBox.baseVal.width, clientY ?? box.top + 20);
  };
  const follow = (event) => {
    const box = drawing.getBoundingClientRect();
    const where = ((event.clientX - box.left) * drawing.viewBox.baseVal.width) / box.width;
    const index = parts.findIndex((part) => where < x(part.to));
    show(index < 0 ? parts.length - 1 : index, event.clientX, event.clientY);
  };
  drawing.addEventListener('pointermove', follow);
  drawing.addEventListener('pointerdown', follow);
  drawing.addEventListener('pointerleave', hide);
  drawing.addEventListener('blur', hide);
  drawing.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at + step); event.preventDefault(); }
    if (event.key === 'Escape') hide();
  });
  return drawing;
}

/** A container whose chart is drawn for its current width, unless it is folded. */
function chart(draw, id) {
  const node = html('div', { class: 'chart', id });
  charts.push(() => !node.closest('details:not([open])') && node.clientWidth && node.replaceChildren(draw(node.clientWidth)));
  return node;
}

const drawing = (width, height, words, ...parts) =>
  svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': words }, HATCH(), parts);

/** Content for the folded instances, with their summary. Its chart is drawn when it is opened. */
function unfolding(...content) {
  if (!FOLDED.length) return null;
  const details = html('details', { class: 'more' }, html('summary', {}, foldedWords()), content);
  details.addEventListener('toggle', () => drawAll());
  return details;
}

/** A collapsed table that is created when it is opened. */
function asTable(words, make) {
  const details = html('details', {}, html('summary', {}, words));
  details.addEventListener('toggle', () => { if (details.open && details.children.length === 1) details.append(scrolling(make(), words)); });
  return details;
}

const scrolling = (table, words) => html('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': words }, table);

/** A table; columns are `[heading, kind]`. */
const table = (headings, rows) => html('table', {},
  html('thead', {}, html('tr', {}, headings.map(([words, kind]) => html('th', { scope: 'col', class: kind }, words)))),
  html('tbody', {}, rows.map((cells) => html('tr', {}, cells.map((cell, index) =>
    cell instanceof Element && /^T[HD]$/i.test(cell.tagName) ? cell
      : html(index ? 'td' : 'th', { class: headings[index][1], scope: index ? undefined : 'row' }, cell))))));
