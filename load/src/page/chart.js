// What all charts have in common: axes, what is shown under the pointer, and being drawn anew at another width.

const charts = [];
const ruler = document.createElement('canvas').getContext('2d');
const tip = document.getElementById('tip');

function widthOf(text, font = '12px ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace') {
  ruler.font = font;
  return ruler.measureText(text).width;
}

/** The text, or so much of its beginning and end as there is room for. */
function fitting(text, room) {
  if (widthOf(text) <= room) return text;
  const signs = [...text];
  let least = 0;
  let most = signs.length;
  const cut = (kept) => signs.slice(0, Math.ceil(kept / 2)).join('') + '…' + (kept > 1 ? signs.slice(-Math.floor(kept / 2)).join('') : '');
  while (least < most) {
    const kept = Math.ceil((least + most) / 2);
    if (widthOf(cut(kept)) <= room) least = kept;
    else most = kept - 1;
  }
  return cut(least);
}

const text = (x, y, what, kind = '', anchor = 'start') => svg('text', { x, y, class: kind, 'text-anchor': anchor }, what);
const line = (x1, y1, x2, y2, kind) => svg('line', { x1, y1, x2, y2, class: kind });

/** A name that is cut where there is no room, and whole under the pointer. */
function label(x, y, name, room, anchor = 'start') {
  const shown = text(x, y, fitting(name, room), 'name', anchor);
  shown.append(svg('title', {}, name));
  return shown;
}

/** The least of 1, 2 and 5 with zeros that is no smaller. */
function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

/** How high a chart of these goes: up to the highest, unless that stands far above all others, as what had waited does after a gap. */
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

/** Even steps from 0 to `end`, no more than `most`. */
function steps(end, most) {
  const least = end / Math.max(1, most);
  const clock = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = least > 50 ? (clock.find((one) => one >= least) ?? roundedUp(least)) : roundedUp(least);
  return Array.from({ length: Math.floor(end / step + 1e-6) + 1 }, (_, place) => place * step);
}

/** Lines of time from top to bottom, with what they stand for. */
function timeAxis(x, left, right, top, bottom) {
  const marks = steps(END, (right - left) / 74);
  const shown = (seconds) => (seconds === 0 ? '0' : seconds % 60 === 0 && END >= 120 ? `${seconds / 60} min` : time(seconds));
  return svg('g', {}, marks.map((seconds) => [
    line(x(seconds), top, x(seconds), bottom, 'grid'),
    text(x(seconds), bottom + 15, shown(seconds), 'soft', x(seconds) > right - 14 ? 'end' : 'middle'),
  ]), line(left, bottom, right, bottom, 'axis'));
}

/** Powers of ten with 2 and 5 between them, from one number to another. */
function decades(from, to) {
  const marks = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const step of [1, 2, 5]) marks.push({ value: step * 10 ** power, whole: step === 1 });
  }
  return marks.filter((mark) => mark.value >= from * 0.999 && mark.value <= to * 1.001);
}

/** What surrounds all of these, so that it begins and ends at 1, 2 or 5. */
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

/** An area of steps over `base`. Each is given by where it begins and ends, and its height. Those that touch are one. */
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

/** Times without a good answer, across the whole chart, and how long the longest of them were. */
function gaps(x, top, bottom, left, right, labelled) {
  const taken = [];
  const group = svg('g', {});
  for (const gap of [...report.gaps.listed].sort((one, next) => next.to - next.from - (one.to - one.from))) {
    const from = x(gap.from);
    const wide = Math.max(2, x(Math.min(gap.to, END)) - from);
    group.append(svg('rect', { x: from, y: top, width: wide, height: bottom - top, class: 'gap' }));
    group.append(line(from, top, from, bottom, 'gapedge'), line(from + wide, top, from + wide, bottom, 'gapedge'));
    if (!labelled) continue;
    const words = `gap ${time(gap.to - gap.from)}`;
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

/** Shows exact values of the column under the pointer; with arrow keys, of the one before or after. */
function explained(drawing, parts, x, top, bottom, describe) {
  if (!parts.length) return drawing;
  const cursor = line(0, top, 0, bottom, 'cursor');
  cursor.setAttribute('visibility', 'hidden');
  drawing.append(cursor);
  drawing.setAttribute('tabindex', '0');
  let at = -1;
  const hide = () => { tip.hidden = true; cursor.setAttribute('visibility', 'hidden'); };
  const show = (place, clientX, clientY) => {
    at = Math.max(0, Math.min(place, parts.length - 1));
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
    const place = parts.findIndex((part) => where < x(part.to));
    show(place < 0 ? parts.length - 1 : place, event.clientX, event.clientY);
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

/** A place for a chart that is drawn for the width that it has. */
function chart(draw, id) {
  const node = html('div', { class: 'chart', id });
  charts.push(() => node.clientWidth && node.replaceChildren(draw(node.clientWidth)));
  return node;
}

const drawing = (width, height, words, ...parts) =>
  svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': words }, HATCH(), parts);

/** A table that is made once somebody wants to see it. */
function asTable(words, make) {
  const details = html('details', {}, html('summary', {}, words));
  details.addEventListener('toggle', () => { if (details.open && details.children.length === 1) details.append(scrolling(make(), words)); });
  return details;
}

const scrolling = (table, words) => html('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': words }, table);

/** A table; columns are `[heading, kind]`. */
const table = (headings, rows) => html('table', {},
  html('thead', {}, html('tr', {}, headings.map(([words, kind]) => html('th', { scope: 'col', class: kind }, words)))),
  html('tbody', {}, rows.map((cells) => html('tr', {}, cells.map((cell, place) =>
    cell instanceof Element && /^T[HD]$/i.test(cell.tagName) ? cell
      : html(place ? 'td' : 'th', { class: headings[place][1], scope: place ? undefined : 'row' }, cell))))));
