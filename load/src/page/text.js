'use strict';
// The report, and the formats of numbers.

/** Replaces characters that are invisible or change the direction of text, so that a name cannot look like another one. */
const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, '\ufffd');

const report = JSON.parse(document.getElementById('data').textContent, (_, value) => (typeof value === 'string' ? visible(value) : value));
report.instances.forEach((instance, index) => { instance.colour = index % 8; });

/** Instances that are shown at once, first those with failures and those that joined or left. The others can be unfolded. */
const [SHOWN, FOLDED] = (() => {
  const isNotable = (one) => one.failed || one.joined || one.left;
  const all = report.instances;
  const shown = new Set([...all.filter(isNotable), ...all.filter((one) => !isNotable(one))].slice(0, 20));
  return [all.filter((one) => shown.has(one)), all.filter((one) => !shown.has(one))];
})();

function create(space, name, attributes, children) {
  const node = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  // append() makes text nodes of strings, so nothing in them is parsed as HTML.
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}
const html = (name, attributes, ...children) => create('http://www.w3.org/1999/xhtml', name, attributes, children);
const svg = (name, attributes, ...children) => create('http://www.w3.org/2000/svg', name, attributes, children);

const count = (number) => Math.round(number).toLocaleString('en-US');

/** Three significant digits, without trailing zeros. */
function digits(value) {
  const places = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return Number(value.toFixed(places)).toLocaleString('en-US');
}

/** Formats a duration in seconds. */
function time(seconds) {
  if (seconds <= 0) return '0 ms';
  if (seconds < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 119.95) return `${digits(seconds)} s`;
  const whole = Math.round(seconds);
  return `${count(Math.floor(whole / 60))} min${whole % 60 ? ` ${whole % 60} s` : ''}`;
}

/** Formats a point in time, in seconds since the start. */
function moment(seconds, places = END < 10 ? 3 : 1) {
  const format = { minimumFractionDigits: places, maximumFractionDigits: places };
  return `${seconds.toLocaleString('en-US', format)} s`;
}

function bytes(value) {
  const [unit, name] = [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']].find(([one]) => value >= 0.9995 * one) ?? [1, 'B'];
  return `${digits(value / unit)} ${name}`;
}

const rate = (value) => `${digits(value)}/s`;
const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;
const plural = (number, one, other = `${one}s`) => `${count(number)} ${number === 1 ? one : other}`;
const nameOf = (name) => (name === null ? '(no name)' : name === '' ? '(empty)' : name);

/** Time of the last event. Responses may arrive after the end of the run. */
const END = Math.max(
  report.seconds,
  ...report.instances.map((instance) => instance.last),
  ...report.failures.listed.map((failed) => failed.at),
  0.001,
);

/** Sums up the folded instances. */
function foldedWords() {
  const shares = FOLDED.map((one) => one.share);
  const [least, most] = [percent(Math.min(...shares)), percent(Math.max(...shares))];
  const failed = total(FOLDED.map((one) => one.failed));
  return `${count(FOLDED.length)} more: ${least === most ? least : `${least} to ${most}`}${FOLDED.length > 1 ? ' each' : ''}${failed ? `, ${count(failed)} failed` : ''}`;
}

const total = (list) => list.reduce((sum, one) => sum + one, 0);

/** Spans of the timeline, joined so that there are at most `limit`. */
function columns(limit) {
  const { width, ok } = report.timeline;
  const spans = [];
  for (let index = 0; index < ok.length; index++) {
    const from = index * width;
    const to = Math.min(from + width, END);
    // A short span at the end has no meaningful rate, so it is joined with the one before.
    if (index > 0 && to - from < width * 0.2) {
      Object.assign(spans.at(-1), { last: index, to: Math.max(to, spans.at(-1).to) });
    } else {
      spans.push({ from, to: Math.max(to, from + 1e-6), first: index, last: index });
    }
  }
  const fold = Math.max(1, Math.ceil(spans.length / limit));
  const folded = [];
  for (let index = 0; index < spans.length; index += fold) {
    const last = spans[Math.min(index + fold, spans.length) - 1];
    folded.push({ ...spans[index], last: last.last, to: last.to });
  }
  return folded;
}

const sumIn = (list, column) => total(list.slice(column.first, column.last + 1));
const maxIn = (list, column) => Math.max(0, ...list.slice(column.first, column.last + 1));
const rateIn = (list, column) => sumIn(list, column) / (column.to - column.from);
const between = (column) => `${moment(column.from)} – ${moment(column.to)}`;
