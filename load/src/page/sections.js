// The sections of the page, from top to bottom.

const main = document.querySelector('main');
const section = (id, title, ...content) => main.append(html('section', { id, 'aria-labelledby': `${id}-title` }, html('h2', { id: `${id}-title` }, title), content));
const note = (...words) => html('p', { class: 'note' }, words);
const named = (name) => html('bdi', { class: 'name', title: nameOf(name) }, fitting(nameOf(name), 240));
const chip = (kind, sign, ...words) => html('li', { class: `chip ${kind}` }, `${sign} `, words);

{
  const { asked: settings, demands: assertions, warnings, evenness } = report;
  const started = new Date(report.started_unix_ms).toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC');
  document.getElementById('where').append(settings.method, ' ', html('bdi', {}, settings.urls.map((one) => one.url).join(', ')), ` · ${started}`);
  const facts = [
    settings.rate === null ? `${rate(report.rate)} over ${plural(settings.connections, 'connection')}` : `${rate(report.rate)} of ${rate(settings.rate)}`,
    report.latency.count && `p50 ${time(report.latency.p50)}`, report.latency.count && `p99 ${time(report.latency.p99)}`,
    plural(report.instances_found, 'instance'),
    report.handovers.length && plural(report.handovers.length, 'handover'),
    report.retried && `${count(report.retried)} retried`,
    report.abandoned && `${count(report.abandoned)} abandoned`,
    report.failures.by_class.unsent && `${count(report.failures.by_class.unsent)} unsent`,
    report.ended === 'interrupted' && `interrupted after ${time(report.seconds)}${settings.duration === null ? '' : ` of ${time(settings.duration)}`}`
      + (settings.requests === null ? '' : `, ${count(report.requests)} of ${plural(settings.requests, 'request')}`),
  ];
  const failed = assertions.filter((assertion) => assertion.verdict === 'not_met');
  const unknown = assertions.filter((assertion) => assertion.verdict === 'not_assessable');
  const verdict = (one) => ({ met: ['good', '✓'], not_met: ['bad', '✗'], not_assessable: ['warn', '?'] })[one];
  document.getElementById('headline').append(
    html('p', { class: 'facts' }, facts.filter(Boolean).map((words) => html('span', {}, words))),
    html('ul', { class: 'chips', id: 'assertions' },
      assertions.length ? chip(...verdict(failed.length ? 'not_met' : unknown.length ? 'not_assessable' : 'met'), html('b', {}, failed.length
        ? `${count(failed.length)} of ${plural(assertions.length, 'assertion')} failed` : unknown.length
          ? `${count(unknown.length)} of ${plural(assertions.length, 'assertion')} not assessable` : assertions.length === 1 ? 'assertion met' : `all ${count(assertions.length)} assertions met`))
        : chip('', '–', 'no assertions'),
      assertions.map((one) => chip(...verdict(one.verdict), `${one.name} ${one.wanted}: `, html('b', {}, one.got))),
      evenness && evenness.p < 0.01 && chip('warn', '!', html('a', { href: '#evenness' }, 'uneven shares')),
      warnings.length > 0 && chip('warn', '!', html('a', { href: '#warnings' }, plural(warnings.length, 'warning')))));
}

section('timeline', 'Which instance answered when',
  note(report.instances.length ? 'Height is the number of successful responses per second: of all instances together at the top, and of each instance below, all to the same scale.'
    : 'No response.'),
  legend(
    report.failed > 0 && [svg('rect', { y: 1, width: 16, height: 8, class: 'fail' }), 'failed requests'],
    report.gaps.listed.length && [[HATCH(), svg('rect', { width: 16, height: 11, class: 'gap' }), line(0, 0, 0, 11, 'gapedge'), line(16, 0, 16, 11, 'gapedge')], `outage: no successful response for ${time(report.gaps.threshold)} or longer`],
    report.stalls.length && [svg('rect', { width: 16, height: 11, class: 'stall' }), 'the load generator itself did not run'],
    report.instances.some((one) => one.joined) && [[line(6, 0, 6, 12, 'mark'), svg('path', { d: 'M6,0l6,4l-6,4z', class: 'markfill' })], 'first response of an instance that joined'],
    report.instances.some((one) => one.left) && [[line(6, 0, 6, 12, 'mark'), svg('rect', { x: 3, width: 6, height: 6, class: 'markfill' })], 'last response of an instance that left'],
    report.handovers.length && [svg('path', { d: 'M0,6H18', class: 'hand' }), 'handover: from an instance that left to its replacement']),
  chart(drawTimeline, 'timeline-chart'), unfolding(chart(drawFolded, 'timeline-more')),
  report.handovers.length ? html('ul', { class: 'plain note' }, report.handovers.slice(0, 20).map((handover) =>
    html('li', {}, named(handover.left), ' → ', named(handover.joined), `: left at ${moment(handover.left_at)}, joined at ${moment(handover.joined_at)}, `,
      handover.overlap >= 0 ? `overlap ${time(handover.overlap)}` : `gap ${time(-handover.overlap)}`)),
  report.handovers.length > 20 && html('li', {}, `and ${report.handovers.length - 20} more`)) : null,
  report.timeline.ok.length ? asTable('As a table', timelineTable) : null);

{
  const chips = (statuses, kind, sign) => Object.entries(statuses).map(([status, number]) => chip(kind, sign, html('b', {}, status), ` × ${count(number)}`));
  const all = [...chips(report.ok_by_status, 'good', '✓'), ...chips(report.failures.by_status, 'bad', '✗')];
  section('statuses', 'Statuses of responses', all.length ? [note(`A request is successful if its status is ${report.asked.expect}.`), html('ul', { class: 'chips' }, all)] : note('No response.'));
}

section('latency', 'Latency: how long requests took', report.latency.count ? [
  note('Of successful requests, until the complete response: ', report.asked.rate === null ? 'from sending.'
    : 'from the time at which each was due, so that a delay before sending counts.'),
  html('h3', {}, 'Over time'),
  legend(...[['p50', 'half of the requests were faster'], ['p99', '99 of 100 were faster'], ['max', 'the slowest']].map(([name, words], index) =>
    [line(0, 6, 18, 6, `l l${index}`), `${name}: ${words}`])),
  chart(drawLatency, 'latency-chart'),
  html('h3', {}, 'Distribution'),
  note('Height is the number of requests with this latency. Both axes are logarithmic, so that rare slow requests are visible.'),
  report.instances.length > 1 && legend([line(8, 0, 8, 12, 'mark'), 'p50 of the instance'], [svg('path', { d: 'M8,1l5,5l-5,5l-5,-5z', class: 'markfill' }), 'p99'],
    [svg('circle', { cx: 8, cy: 6, r: 3.5, class: 'markfill' }), 'max']),
  chart((width) => drawDistribution(width, responding(SHOWN)), 'distribution-chart'),
  unfolding(chart((width) => drawDistribution(width, responding(FOLDED)), 'distribution-more')),
  asTable('As a table', latencyTable), phasesTable(), urlsTable(),
] : [note('There was no successful response.'), phasesTable()]);

{
  const { failures, asked: settings } = report;
  const several = settings.urls.length > 1;
  const headings = [['time', 'right'], ['class', ''], ['error', 'long'], ['status', 'right'], ['instance', ''], several && ['URL', 'long'], ['duration', 'right']].filter(Boolean);
  const rows = failures.listed.map((failed) => [moment(failed.at, 3), failed.class, failed.text, failed.status ?? html('td', { class: 'right zero' }, '–'),
    failed.instance === null ? html('td', { class: 'zero' }, '–') : named(failed.instance), ...(several ? [settings.urls[failed.url]?.url ?? '–'] : []),
    time(failed.at - failed.sent)]);
  section('failures', 'Failures', report.failed ? [
    note(`${plural(report.failed, 'request')} of ${count(report.requests)}: ${Object.entries(failures.by_class).map(([name, number]) => `${count(number)} ${name}`).join(', ')}.`),
    chart(drawFailures, 'failures-chart'),
    html('h3', {}, failures.unlisted ? `The first ${count(failures.listed.length)} failures; ${count(failures.unlisted)} more are in the chart only` : 'All failures'),
    scrolling(table(headings, rows), 'List of failures'),
  ] : note(report.requests ? 'No request failed.' : 'No request was sent.'));
}

{
  const widest = Math.max(1e-9, ...report.instances.map((one) => one.share));
  const headings = [['instance', 'long name'], ['share', ''], ['ok', 'right'], ['failed', 'right'], ['p50', 'right'], ['p99', 'right'], ['first', 'right'], ['last', 'right'], ['', '']];
  const took = (one, field) => (one.latency.count ? time(one.latency[field]) : '–');
  const rows = (instances) => instances.map((one) => [
    nameOf(one.name),
    html('td', { class: 'share' }, html('i', { class: `b${one.colour}`, style: `width:${((one.share / widest) * 84).toFixed(1)}px` }), percent(one.share)),
    count(one.ok), html('td', { class: `right ${one.failed ? 'failed' : 'zero'}` }, count(one.failed)),
    took(one, 'p50'), took(one, 'p99'), moment(one.first), moment(one.last),
    [one.joined && 'joined', one.left && 'left'].filter(Boolean).join(', '),
  ]);
  section('instances', 'Instances', report.instances.length
    ? [scrolling(table(headings, rows(SHOWN)), 'Instances'), unfolding(scrolling(table(headings, rows(FOLDED)), 'More instances'))] : note('No response.'));
}

{
  const { evenness } = report;
  const chance = (p) => (p < 0.001 ? 'less than 0.1 %' : `${Number((100 * p).toPrecision(2))} %`);
  section('evenness', 'Do all instances get the same share?', evenness ? [
    html('ul', { class: 'chips' }, evenness.p < 0.01 ? chip('warn', '!', html('b', {}, 'uneven')) : chip('good', '✓', html('b', {}, 'even')),
      html('li', { class: 'chip' }, `largest difference from an equal share: ${percent(evenness.skew)}`)),
    html('p', { class: 'note', style: 'margin-top:8px' }, `If each ${evenness.of === 'connections' ? 'connection' : 'request'} went to a random instance, shares at least this uneven would occur in ${chance(evenness.p)} of all runs. Below 1 %, some instance is preferred. `,
      evenness.of === 'connections' ? 'Each connection is kept by one instance, so connections are compared, not requests.'
        : 'Only times during which the same instances responded are compared.',
      ` (χ² ${digits(evenness.chi_squared)}, ${plural(evenness.degrees, 'degree')} of freedom.)`),
  ] : note(`Not assessable: ${report.no_evenness}.`));
}

section('warnings', 'Warnings', report.warnings.length ? html('ul', { class: 'plain' }, report.warnings.map((words) => html('li', {}, words))) : note('No warnings.'));

{
  const { asked: settings, late } = report;
  const weights = total(settings.urls.map((one) => one.weight));
  const row = (term, ...words) => [html('dt', {}, term), html('dd', {}, words)];
  section('settings', 'Settings', html('dl', {},
    row(settings.urls.length > 1 ? 'URLs' : 'URL', settings.urls.map((one, index) => [index ? html('br') : '', html('bdi', { class: 'name' }, one.url),
      settings.urls.length > 1 && ` ${percent(one.weight / Math.max(1, weights))}`])),
    row('Method', settings.method),
    row('HTTP', settings.http, settings.keep_alive ? ', connections are reused' : ', a new connection for each request'),
    row('Load', settings.rate === null ? 'as fast as possible: each connection sends its next request after a response' : `${rate(settings.rate)}, independent of responses`, settings.ramp ? `, rising for ${time(settings.ramp)}` : ''),
    row('Limit', [settings.duration !== null && time(settings.duration), settings.requests !== null && plural(settings.requests, 'request')].filter(Boolean).join(' or ') || 'none'),
    row('Connections', `up to ${count(settings.connections)}${settings.streams > 1 ? ` with up to ${plural(settings.streams, 'concurrent request')} each` : ''}, ${plural(settings.threads, 'thread')}`),
    row('Request time limit', time(settings.timeout)), row('Expected statuses', settings.expect), row('Instances are named by', html('bdi', { class: 'name' }, settings.instance)),
    row('Connections opened', `${count(report.connections.opened)}${report.connections.closed_idle ? `, ${count(report.connections.closed_idle)} closed while idle` : ''}`),
    late && row('Late', `${count(late.count)} sent more than ${time(late.threshold)} after the due time, ${count(late.waited)} waited for a connection${late.max ? `; maximum delay ${time(late.max)}` : ''}`),
    row('Received', `${bytes(report.bytes)} in successful responses`),
    row('Load generator', `${percent(report.generator_load)} of its processor cores`)));
}

section('reading', 'How to read this page', html('p', {}, 'During a rolling update, one lane ends while another begins. No user noticed the update if there is neither a hatched band (an outage) nor a red bar (failed requests). ',
  'If a warning says that the load generator was the bottleneck, the latencies are its own, not those of the server.'));

const drawAll = () => charts.forEach((draw) => draw());
let drawn = main.clientWidth;
drawAll();
addEventListener('resize', () => requestAnimationFrame(() => {
  if (main.clientWidth !== drawn) { drawn = main.clientWidth; tip.hidden = true; drawAll(); }
}));
addEventListener('beforeprint', drawAll);
addEventListener('afterprint', drawAll);
