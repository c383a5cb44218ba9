// The page, from top to bottom.

const main = document.querySelector('main');
const section = (id, title, ...content) => main.append(html('section', { id, 'aria-labelledby': `${id}-title` }, html('h2', { id: `${id}-title` }, title), content));
const note = (...words) => html('p', { class: 'note' }, words);
const named = (name) => html('bdi', { class: 'name', title: nameOf(name) }, nameOf(name));
const chip = (kind, sign, ...words) => html('li', { class: `chip ${kind}` }, `${sign} `, words);

{
  const { asked, demands, warnings, evenness } = report;
  const heading = document.querySelector('h1');
  heading.replaceChildren(...heading.textContent.split(' · ').flatMap((words, place) => [place ? ' · ' : '', html('span', {}, words)]));
  const started = new Date(report.started_unix_ms).toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC');
  document.getElementById('where').append(asked.method, ' ', html('bdi', {}, asked.urls.map((one) => one.url).join(', ')), ` · ${started}`);
  const facts = [
    asked.rate === null ? `${rate(report.rate)} by ${plural(asked.connections, 'connection')}` : `${rate(report.rate)} of ${rate(asked.rate)} asked for`,
    report.latency.count && `p50 ${time(report.latency.p50)}`, report.latency.count && `p99 ${time(report.latency.p99)}`,
    plural(report.instances.length, 'instance'),
    report.handovers.length && plural(report.handovers.length, 'handover'),
    report.abandoned && `${count(report.abandoned)} abandoned`,
    report.late?.unsent > 0 && `${count(report.late.unsent)} never sent`,
    report.ended === 'interrupted' && 'interrupted',
  ];
  const unmet = demands.filter((demand) => !demand.met);
  document.getElementById('headline').append(
    html('p', { class: 'facts' }, facts.filter(Boolean).map((words) => html('span', {}, words))),
    html('ul', { class: 'chips', id: 'demands' },
      demands.length ? chip(unmet.length ? 'bad' : 'good', unmet.length ? '✗' : '✓', html('b', {}, unmet.length
        ? `${count(unmet.length)} of ${plural(demands.length, 'demand')} not met` : demands.length === 1 ? 'the demand is met' : `all ${count(demands.length)} demands met`))
        : chip('', '–', 'nothing was demanded'),
      demands.map((demand) => chip(demand.met ? 'good' : 'bad', demand.met ? '✓' : '✗', `${demand.name} ${demand.wanted}: `, html('b', {}, demand.got))),
      evenness && evenness.p < 0.01 && chip('warn', '!', html('a', { href: '#evenness' }, 'uneven shares')),
      warnings.length > 0 && chip('warn', '!', html('a', { href: '#warnings' }, plural(warnings.length, 'warning')))));
}

section('timeline', 'Who answered when',
  note(report.instances.length ? 'Good answers in each second: on top all of them, one on the other, and below each instance by itself, all to the same scale.'
    : 'Nobody answered.'),
  legend(
    report.failed > 0 && [svg('rect', { y: 1, width: 16, height: 8, class: 'fail' }), 'failed'],
    report.gaps.listed.length && [[HATCH(), svg('rect', { width: 16, height: 11, class: 'gap' }), line(0, 0, 0, 11, 'gapedge'), line(16, 0, 16, 11, 'gapedge')], `gap: no good answer for ${time(report.gaps.threshold)} or longer`],
    report.instances.some((one) => one.joined) && [[line(6, 0, 6, 12, 'mark'), svg('path', { d: 'M6,0l6,4l-6,4z', class: 'markfill' })], 'joined'],
    report.instances.some((one) => one.left) && [[line(6, 0, 6, 12, 'mark'), svg('rect', { x: 3, width: 6, height: 6, class: 'markfill' })], 'left'],
    report.handovers.length && [svg('path', { d: 'M0,6H18', class: 'hand' }), 'handover']),
  chart(drawTimeline, 'timeline-chart'),
  report.handovers.length ? html('ul', { class: 'plain note' }, report.handovers.slice(0, 20).map((handover) =>
    html('li', {}, named(handover.left), ' → ', named(handover.joined), `: left at ${moment(handover.left_at)}, joined at ${moment(handover.joined_at)}, `,
      handover.overlap >= 0 ? `both answered for ${time(handover.overlap)}` : `neither answered for ${time(-handover.overlap)}`)),
  report.handovers.length > 20 && html('li', {}, `and ${report.handovers.length - 20} more`)) : null,
  report.timeline.ok.length ? asTable('As a table', timelineTable) : null);

section('latency', 'How long answers took', report.latency.count ? [
  note(report.asked.rate === null ? 'From when a request was sent to the end of its answer.'
    : 'From when a request was due to the end of its answer, so that waiting to be sent counts too.', ' Axes of latency are logarithmic, and so are the heights of the second chart, that the few which took long can be seen.'),
  html('h3', {}, 'Over time'), chart(drawLatency, 'latency-chart'),
  html('h3', {}, 'How many took how long'),
  report.instances.length > 1 && legend([line(8, 0, 8, 12, 'mark'), 'p50'], [svg('path', { d: 'M8,1l5,5l-5,5l-5,-5z', class: 'markfill' }), 'p99'],
    [svg('circle', { cx: 8, cy: 6, r: 3.5, class: 'markfill' }), 'max']),
  chart(drawDistribution, 'distribution-chart'), asTable('As a table', latencyTable),
] : note('There was no good answer.'));

{
  const { failures, asked } = report;
  const several = asked.urls.length > 1;
  const statuses = Object.entries(failures.by_status).map(([status, many]) => html('li', { class: 'chip' }, html('b', {}, status), ` × ${count(many)}`));
  const headings = [['at', 'right'], ['class', ''], ['what', 'long'], ['status', 'right'], ['instance', ''], several && ['URL', 'long'], ['after', 'right']].filter(Boolean);
  const rows = failures.listed.map((failed) => [moment(failed.at, 3), failed.class, failed.text, failed.status ?? html('td', { class: 'right zero' }, '–'),
    failed.instance === null ? html('td', { class: 'zero' }, '–') : named(failed.instance), ...(several ? [asked.urls[failed.url]?.url ?? '–'] : []),
    time(failed.at - failed.sent)]);
  section('failures', 'What failed', report.failed ? [
    note(`${plural(report.failed, 'request')} of ${count(report.requests)}: ${Object.entries(failures.by_class).map(([name, many]) => `${count(many)} ${name}`).join(', ')}.`),
    chart(drawFailures, 'failures-chart'), statuses.length ? html('ul', { class: 'chips' }, statuses) : null,
    html('h3', {}, failures.unlisted ? `The first ${count(failures.listed.length)} of them; ${count(failures.unlisted)} more are in the chart only` : 'Each of them'),
    scrolling(table(headings, rows), 'Each failure'),
  ] : note(report.requests ? 'Nothing.' : 'Nothing was sent.'));
}

{
  const widest = Math.max(1e-9, ...report.instances.map((one) => one.share));
  const headings = [['instance', 'long name'], ['share', ''], ['ok', 'right'], ['failed', 'right'], ['p50', 'right'], ['p99', 'right'], ['first', 'right'], ['last', 'right'], ['', '']];
  const took = (one, field) => (one.latency.count ? time(one.latency[field]) : '–');
  section('instances', 'Instances', report.instances.length ? scrolling(table(headings, report.instances.map((one, place) => [
    nameOf(one.name),
    html('td', { class: 'share' }, html('i', { class: `b${place % 8}`, style: `width:${((one.share / widest) * 84).toFixed(1)}px` }), percent(one.share)),
    count(one.ok), html('td', { class: `right ${one.failed ? 'failed' : 'zero'}` }, count(one.failed)),
    took(one, 'p50'), took(one, 'p99'), moment(one.first), moment(one.last),
    [one.joined && 'joined', one.left && 'left'].filter(Boolean).join(', '),
  ])), 'Instances') : note('Nobody answered.'));
}

{
  const { evenness } = report;
  const chance = (p) => (p < 0.001 ? 'in less than one of 1,000 runs' : `in ${Number((100 * p).toPrecision(2))} of 100 runs`);
  section('evenness', 'How evenly', evenness ? [
    html('ul', { class: 'chips' }, evenness.p < 0.01 ? chip('warn', '!', html('b', {}, 'uneven')) : chip('good', '✓', html('b', {}, 'even')),
      html('li', { class: 'chip' }, `χ² ${digits(evenness.chi_squared)}, ${plural(evenness.degrees, 'degree')} of freedom`),
      html('li', { class: 'chip' }, evenness.p < 0.001 ? 'p < 0.001' : `p ${evenness.p.toFixed(evenness.p < 0.1 ? 3 : 2)}`),
      html('li', { class: 'chip' }, `skew ${percent(evenness.skew)}`)),
    html('p', { class: 'note', style: 'margin-top:8px' }, `Chance alone would make shares at least that uneven ${chance(evenness.p)}. The instance that is farthest from an equal share is ${percent(evenness.skew)} off. `,
      'Instances are compared while the same ones were there.'),
  ] : note('No two instances answered side by side.'));
}

section('warnings', 'Warnings', report.warnings.length ? html('ul', { class: 'plain' }, report.warnings.map((words) => html('li', {}, words))) : note('None.'));

{
  const { asked, late } = report;
  const weights = total(asked.urls.map((one) => one.weight));
  const row = (term, ...words) => [html('dt', {}, term), html('dd', {}, words)];
  section('asked', 'What was asked for', html('dl', {},
    row(asked.urls.length > 1 ? 'URLs' : 'URL', asked.urls.map((one, place) => [place ? html('br') : '', html('bdi', { class: 'name' }, one.url),
      asked.urls.length > 1 && ` ${percent(one.weight / Math.max(1, weights))}`])),
    row('Method', asked.method),
    row('HTTP', asked.http === 'auto' ? 'what the server chose by TLS' : asked.http, asked.keep_alive ? ', connections are kept' : ', a connection for each request'),
    row('Load', asked.rate === null ? 'as fast as answers come' : `${rate(asked.rate)}, however long answers take`, asked.ramp ? `, rising for ${time(asked.ramp)}` : ''),
    row('Up to', [asked.duration !== null && time(asked.duration), asked.requests !== null && plural(asked.requests, 'request')].filter(Boolean).join(' or ') || 'a signal'),
    row('By', `${plural(asked.connections, 'connection')}${asked.streams > 1 ? ` of ${plural(asked.streams, 'request')} at a time` : ''}, ${plural(asked.threads, 'thread')}`),
    row('Time-out', time(asked.timeout)), row('Instances by', html('bdi', { class: 'name' }, asked.instance)),
    row('Connections made', `${count(report.connections.opened)}${report.connections.closed_idle ? `, ${count(report.connections.closed_idle)} closed while idle` : ''}`),
    late && row('Late', `${count(late.count)} sent more than ${time(late.threshold)} after they were due, ${count(late.waited)} waited for a connection${late.max ? `; the latest by ${time(late.max)}` : ''}`),
    row('Generator', `${percent(report.generator_load)} of its cores`)));
}

section('reading', 'How to read it', html('p', {}, 'A lane that thins out while another one grows is an update at work, and it went unnoticed if there is no hatched band, which is a time in which nobody answered well, and nothing red, which is what failed. ',
  'Of latency, look at p99 rather than the mean, and believe none of it if a warning says that the generator could not keep up.'));

const drawAll = () => charts.forEach((draw) => draw());
let drawn = main.clientWidth;
drawAll();
addEventListener('resize', () => requestAnimationFrame(() => {
  if (main.clientWidth !== drawn) { drawn = main.clientWidth; tip.hidden = true; drawAll(); }
}));
addEventListener('beforeprint', drawAll);
addEventListener('afterprint', drawAll);
