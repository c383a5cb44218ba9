'use strict';
// Follows `v1/events`, and draws everything anew at most four times a second. All texts become text nodes, never HTML.

const STATES = {
  routed: ['●', 'routed'],
  waiting: ['◐', 'healthy, not routed yet'],
  starting: ['○', 'starting'],
  draining: ['◌', 'withdrawn, finishing its requests'],
  unhealthy: ['▲', 'unhealthy'],
  refused: ['✕', 'refused'],
  unrouted: ['–', 'healthy, asks for no route'],
};
const CHANGES = {
  started: 'started', healthy: 'healthy', unhealthy: 'unhealthy', routed: 'routed', refused: 'refused', accepted: 'no longer refused',
  withdrawn: 'withdrawn', unrouted: 'unrouted', stopped: 'stopped', lost: 'lost: connection closed or lease expired',
};
// A withdrawn task is shown until its sidecar ends, or for this time.
const DRAINING_FOR = 60_000;
// A pause between two events of a service of this length separates two updates.
const UPDATE_PAUSE = 60_000;
const KEPT_EVENTS = 1000;
const SHOWN_EVENTS = 200;
const SHOWN_ROWS = 60;
// From this number of tasks on, each is shown by its symbol alone.
const DENSE = 150;

// An ID of Swarm, in the name of a task.
const SWARM_ID = /\b([a-z0-9]{6})[a-z0-9]{19}\b/g;

const $ = (id) => document.getElementById(id);
let status, instances, events, draining, skew = 0, selected, chosen, live = false, drawn = 0, timer;

function reset() {
  [status, instances, events, draining] = [undefined, new Map(), [], new Map()];
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function follow() {
  const source = new EventSource('v1/events');
  const on = (type, handle) => source.addEventListener(type, ({ data }) => { handle(JSON.parse(data)); schedule(); });
  source.onopen = () => { reset(); live = true; schedule(); };
  source.onerror = () => {
    live = false;
    schedule();
    // The browser gives up after a response other than 200, for example while the hub restarts behind its router.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
  on('status', (value) => { status = value; skew = value.now - Date.now(); });
  on('instance', (value) => { instances.set(value.id, value); });
  on('gone', (id) => { instances.delete(id); });
  on('event', (value) => {
    if (value.number <= (events.at(-1)?.number ?? -1)) return;
    events.push(value);
    if (events.length > KEPT_EVENTS) events.shift();
    if (value.change === 'withdrawn') draining.set(value.instance, value);
    if (['stopped', 'started', 'healthy'].includes(value.change)) draining.delete(value.instance);
  });
}

function schedule() {
  timer ??= setTimeout(() => { timer = undefined; drawn = Date.now(); draw(); }, Math.max(0, drawn + 250 - Date.now()));
}

const hubNow = () => Date.now() + skew;

function stateOf(task) {
  if (task.change) return 'draining';
  if (task.routing.state === 'refused') return 'refused';
  if (task.health !== 'healthy') return task.health;
  return { confirmed: 'routed', unrouted: 'unrouted' }[task.routing.state] ?? 'waiting';
}

function span(millis) {
  const seconds = Math.max(0, Math.round(millis / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

// `demo_hello.2.d6ed…` is task 2; in global mode the slot is the ID of the node.
function shortName(task) {
  const id = task.id ?? task.instance;
  const rest = id.startsWith(`${task.service}.`) ? id.slice(task.service.length + 1) : id;
  const slot = rest.split('.')[0];
  return slot.length > 4 && task.node ? 'task' : slot.slice(0, 12);
}

const longName = (task) => `${task.service}.${shortName(task)}${task.node ? `@${task.node}` : ''}`;

function label(state) {
  return element('span', { class: `state ${state}` }, `${STATES[state][0]} ${STATES[state][1]}`);
}

function draw() {
  const now = hubNow();
  for (const [id, event] of draining) if (now - event.at > DRAINING_FOR) draining.delete(id);
  const tasks = [...instances.values(), ...draining.values()];
  drawSummary(tasks);
  drawProblems(tasks, now);
  drawTasks(tasks);
  drawDetail(tasks, now);
  drawRouters(now);
  drawTimeline(now);
  drawEvents();
}

function drawSummary(tasks) {
  const routed = tasks.filter((task) => stateOf(task) === 'routed').length;
  const parts = [live ? 'Live' : 'Connection lost, connecting again', `${routed} of ${tasks.length} tasks routed`];
  if (status) {
    parts.push(`configuration ${status.generation}`, `version ${status.version}`, `up for ${span(hubNow() - status.started)}`);
    if (!status.ready) parts.push('warming up');
    $('host').textContent = `hub ${status.host}`;
    document.title = `${routed}/${tasks.length} routed – hub ${status.host}`;
  }
  $('summary').textContent = parts.join(' · ');
}

function drawProblems(tasks, now) {
  const problems = new Map();
  const add = (text) => problems.set(text, (problems.get(text) ?? 0) + 1);
  for (const task of tasks) {
    if (task.routing?.state === 'refused') add(`${task.service}: refused: ${task.routing.reason}`);
    else if (task.stale) add(`${task.service}: labels changed since the task started; the new ones apply`);
  }
  for (const router of status?.routers ?? []) {
    if (router.behind_since !== null && now - router.behind_since > 10_000) {
      add(`Router ${router.name} has not used the latest configuration for ${span(now - router.behind_since)}`);
    }
  }
  const items = [...problems].map(([text, count]) => element('li', {}, count > 1 ? `${text} (${count} tasks)` : text));
  $('problems').hidden = items.length === 0;
  $('problems').querySelector('ul').replaceChildren(...items);
}

function drawTasks(tasks) {
  const nodes = [...new Set(tasks.map((task) => task.node ?? ''))].sort();
  const services = new Map();
  for (const task of tasks) {
    const row = services.get(task.service) ?? new Map();
    services.set(task.service, row);
    const node = task.node ?? '';
    row.set(node, [...(row.get(node) ?? []), task]);
  }
  const table = $('tasks');
  table.className = tasks.length >= DENSE ? 'dense' : '';
  table.hidden = tasks.length === 0;
  $('no-tasks').hidden = !live || tasks.length > 0;
  const head = [element('th', {}, 'Service'), ...nodes.map((node) => element('th', {}, node || 'no node'))];
  table.tHead.replaceChildren(element('tr', {}, ...head));
  const present = new Set();
  const chip = (task) => {
    const state = stateOf(task);
    present.add(state);
    const id = task.id ?? task.instance;
    const symbol = STATES[state][0];
    const text = tasks.length >= DENSE ? symbol : `${symbol} ${shortName(task)}${task.stale ? ' *' : ''}`;
    const title = `${longName(task)}: ${STATES[state][1]}`;
    const attributes = { class: `task ${state}${task.connected === false ? ' lost' : ''}`, title, 'aria-label': title };
    const button = element('button', { ...attributes, 'data-id': id, 'aria-pressed': id === selected }, text);
    return button;
  };
  const rows = [...services].sort(([a], [b]) => (a < b ? -1 : 1)).map(([service, row]) => {
    const cells = nodes.map((node) => {
      const sorted = (row.get(node) ?? []).sort((a, b) => longName(a).localeCompare(longName(b), 'en', { numeric: true }));
      return element('td', {}, element('div', { class: 'tasks' }, ...sorted.map(chip)));
    });
    return element('tr', {}, element('th', { scope: 'row' }, service), ...cells);
  });
  const focused = document.activeElement?.dataset?.id;
  table.tBodies[0].replaceChildren(...rows);
  if (focused) [...table.querySelectorAll('.task')].find((task) => task.dataset.id === focused)?.focus();
  $('legend').replaceChildren(...Object.keys(STATES).filter((state) => present.has(state)).map(label));
}

function drawDetail(tasks, now) {
  const task = tasks.find((found) => (found.id ?? found.instance) === selected);
  $('detail').hidden = !task;
  if (!task) return;
  const state = stateOf(task);
  const rows = [['Task', task.id ?? task.instance], ['State', label(state)], ['Since', `${span(now - (task.changed_at ?? task.at))} ago`]];
  if (task.routing?.reason) rows.push(['Reason', task.routing.reason]);
  if (task.node) rows.push(['Node', task.node]);
  if (task.host) rows.push(['Host name', task.host], ['Address', `${task.address}:${task.port}`]);
  if (task.started) rows.push(['Started', new Date(task.started).toLocaleString()]);
  if (task.labels) {
    rows.push(['Labels', task.stale ? 'changed since it started; those of the service apply' : 'current']);
    for (const [key, value] of Object.entries(task.labels)) rows.push(['', `${key}=${value}`]);
  }
  const list = element('dl', {}, ...rows.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
  $('detail').replaceChildren(list);
}

function drawRouters(now) {
  const routers = status?.routers ?? [];
  const rows = routers.map((router) => {
    const behind = router.behind_since === null ? 'up to date' : `behind for ${span(now - router.behind_since)}`;
    const state = [router.connected ? behind : 'disconnected', router.api ? 'API reports' : 'no report of its API'].join(', ');
    return element('tr', {}, element('td', { title: router.name }, router.name.replace(SWARM_ID, '$1…')), element('td', {}, String(router.generation ?? 'none')), element('td', {}, state));
  });
  $('routers').hidden = rows.length === 0;
  $('no-routers').hidden = !live || rows.length > 0;
  $('routers').tBodies[0].replaceChildren(...rows);
}

// The events of a service since the last pause.
function lastUpdate(service) {
  const own = events.filter((event) => event.service === service && !['refused', 'accepted'].includes(event.change));
  let first = own.length - 1;
  while (first > 0 && own[first].at - own[first - 1].at < UPDATE_PAUSE) first -= 1;
  return own.slice(Math.max(0, first));
}

function drawTimeline(now) {
  const services = [...new Set(events.map((event) => event.service))];
  $('update').hidden = services.length === 0;
  if (services.length === 0) return;
  const select = $('service');
  const latest = events.at(-1).service;
  const shown = services.includes(chosen) ? chosen : latest;
  if ([...select.options].map((option) => option.value).join() !== [...services].sort().join()) {
    select.replaceChildren(...services.sort().map((service) => element('option', { value: service }, service)));
  }
  select.value = shown;
  const update = lastUpdate(shown);
  const start = update[0]?.at ?? now;
  const isOver = now - (update.at(-1)?.at ?? now) > 10_000;
  const end = Math.max(start + 1000, isOver ? update.at(-1).at + 1000 : now);
  const [tasks, used] = [new Map(), new Set()];
  for (const event of update) tasks.set(event.instance, [...(tasks.get(event.instance) ?? []), event]);
  const place = (at) => `${(100 * (at - start)) / (end - start)}%`;
  const rows = [...tasks.values()].slice(0, SHOWN_ROWS).flatMap((own) => {
    const track = element('div', { class: 'track' });
    const bar = (state, from, to) => {
      used.add(state);
      const made = element('div', { class: `bar ${state}`, title: `${STATES[state]?.[1] ?? state}: ${((to - from) / 1000).toFixed(1)} s` });
      [made.style.left, made.style.width] = [place(from), `${(100 * (to - from)) / (end - start)}%`];
      track.append(made);
    };
    const after = { started: 'starting', healthy: 'waiting', unhealthy: 'unhealthy', routed: 'routed', withdrawn: 'draining', unrouted: 'draining' };
    // A task that was there before the update was routed.
    if (own[0].change === 'withdrawn' || own[0].change === 'lost') bar('routed', start, own[0].at);
    own.forEach((event, index) => {
      if (after[event.change]) bar(after[event.change], event.at, own[index + 1]?.at ?? end);
    });
    const name = longName(own[0]);
    return [element('div', { class: 'name', title: own[0].instance }, name), track];
  });
  const seconds = (end - start) / 1000;
  const axis = element('div', { class: 'axis' }, element('span', {}, new Date(start - skew).toLocaleTimeString()), element('span', {}, `${seconds.toFixed(1)} s`));
  const more = tasks.size > SHOWN_ROWS ? `and ${tasks.size - SHOWN_ROWS} more tasks` : '';
  const legend = element('div', { class: 'legend' }, ...Object.keys(STATES).filter((state) => used.has(state)).map(label));
  $('timeline').replaceChildren(...rows, element('div', { class: 'name' }, more), axis, legend);
}

function drawEvents() {
  const rows = events.slice(-SHOWN_EVENTS).reverse().map((event) => {
    const time = new Date(event.at - skew).toLocaleTimeString();
    const text = CHANGES[event.change] ?? event.change;
    const cells = [time, longName(event), event.reason ? `${text}: ${event.reason}` : text];
    return element('tr', {}, ...cells.map((cell) => element('td', {}, cell)));
  });
  $('events').tBodies[0].replaceChildren(...rows);
  $('no-events').hidden = !live || rows.length > 0;
}

$('tasks').addEventListener('click', ({ target }) => {
  const id = target.closest('.task')?.dataset.id;
  if (id) selected = selected === id ? undefined : id;
  schedule();
});
$('service').addEventListener('change', ({ target }) => { chosen = target.value; schedule(); });
reset();
follow();
setInterval(schedule, 1000);
