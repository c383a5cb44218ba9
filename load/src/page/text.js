'use strict';
// What came of the load, and how its figures are written.

const report = JSON.parse(document.getElementById('data').textContent);

function made(space, name, attributes, children) {
  const node = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  // Strings become text nodes here, whatever is in them.
  node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}
const html = (name, attributes, ...children) => made('http://www.w3.org/1999/xhtml', name, attributes, children);
const svg = (name, attributes, ...children) => made('http://www.w3.org/2000/svg', name, attributes, children);

const count = (number) => Math.round(number).toLocaleString('en-US');

/** Three digits that count, without zeros that say nothing. */
function digits(value) {
  const places = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return Number(value.toFixed(places)).toLocaleString('en-US');
}

/** A length of time, given in seconds. */
function time(seconds) {
  if (seconds <= 0) return '0 ms';
  if (seconds < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`;
  if (seconds < 119.95) return `${digits(seconds)} s`;
  const whole = Math.round(seconds);
  return `${count(Math.floor(whole / 60))} min${whole % 60 ? ` ${whole % 60} s` : ''}`;
}

/** A point in time, in seconds since the start. */
function moment(seconds, places = END < 10 ? 3 : 1) {
  const format = { minimumFractionDigits: places, maximumFractionDigits: places };
  return `${seconds.toLocaleString('en-US', format)} s`;
}

const rate = (value) => `${digits(value)}/s`;
const percent = (part) => `${(100 * part).toFixed(1)} %`;
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
const nameOf = (name) => (name === null ? '(no name)' : name === '' ? '(empty)' : name);

/** When the last thing happened: answers may come after the last request was sent. */
const END = Math.max(
  report.seconds,
  ...report.instances.map((instance) => instance.last),
  ...report.failures.listed.map((failed) => failed.at),
  0.001,
);

const total = (list) => list.reduce((sum, one) => sum + one, 0);

/** Spans of the timeline, as many of them joined as it takes to have no more than `limit`. */
function columns(limit) {
  const { width, ok } = report.timeline;
  const spans = [];
  for (let place = 0; place < ok.length; place++) {
    const from = place * width;
    const to = Math.min(from + width, END);
    // What is left over at the end is too short for a rate of its own.
    if (place > 0 && to - from < width * 0.2) {
      Object.assign(spans.at(-1), { last: place, to: Math.max(to, spans.at(-1).to) });
    } else {
      spans.push({ from, to: Math.max(to, from + 1e-6), first: place, last: place });
    }
  }
  const fold = Math.max(1, Math.ceil(spans.length / limit));
  const folded = [];
  for (let place = 0; place < spans.length; place += fold) {
    const last = spans[Math.min(place + fold, spans.length) - 1];
    folded.push({ ...spans[place], last: last.last, to: last.to });
  }
  return folded;
}

const sumIn = (list, column) => total(list.slice(column.first, column.last + 1));
const mostIn = (list, column) => Math.max(0, ...list.slice(column.first, column.last + 1));
const rateIn = (list, column) => sumIn(list, column) / (column.to - column.from);
const failedIn = (column) => total(Object.values(report.timeline.failed).map((list) => sumIn(list, column)));
const between = (column) => `${moment(column.from)} – ${moment(column.to)}`;
