// The sections of the page, from top to bottom.

const main = document.querySelector('main');
const section = (id, title, ...content) => main.append(html('section', { id, 'aria-labelledby': `${id}-title` }, html('h2', { id: `${id}-title` }, title), content));
const note = (...words) => html('p', { class: 'note' }, words);
const named = (name) => html('bdi', { class: 'name', title: nameOf(name) }, nameOf(name));
const chip = (kind, sign, ...words) => html('li', { class: `chip ${kind}` }, `${sign} `, words);

{
  const { asked: settings, demands: assertions, warnings, evenness } = report;
  const heading = document.querySelector('h1');
  heading.replaceChildren(...heading.textContent.split(' · ').flatMap((words, index) => [index ? ' · ' : '', html('span', {}, words)]));
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

section('timeline', 'Responses over time, by instance',
  note(report.instances.length ? 'Successful responses per second: stacked at the top, and below by instance, all to the same scale.'
    : 'No response.'),
  legend(
    report.failed > 0 && [svg('rect', { y: 1, width: 16, height: 8, class: 'fail' }), 'failed'],
    report.gaps.listed.length && [[HATCH(), svg('rect', { width: 16, height: 11, class: 'gap' }), line(0, 0, 0, 11, 'gapedge'), line(16, 0, 16, 11, 'gapedge')], `outage: no successful response for ${time(report.gaps.threshold)} or longer`],
    report.stalls.length && [svg('rect', { width: 16, height: 11, class: 'stall' }), 'the load generator did not run'],
    report.instances.some((one) => one.joined) && [[line(6, 0, 6, 12, 'mark'), svg('path', { d: 'M6,0l6,4l-6,4z', class: 'markfill' })], 'joined'],
    report.instances.some((one) => one.left) && [[line(6, 0, 6, 12, 'mark'), svg('rect', { x: 3, width: 6, height: 6, class: 'markfill' })], 'left'],
    report.handovers.length && [svg('path', { d: 'M0,6H18', class: 'hand' }), 'handover']),
  chart(drawTimeline, 'timeline-chart'),
  report.handovers.length ? html('ul', { class: 'plain note' }, report.handovers.slice(0, 20).map((handover) =>
    html('li', {}, named(handover.left), ' → ', named(handover.joined), `: left at ${moment(handover.left_at)}, joined at ${moment(handover.joined_at)}, `,
      handover.overlap >= 0 ? `overlap ${time(handover.overlap)}` : `gap ${time(-handover.overlap)}`)),
  report.handovers.length > 20 && html('li', {}, `and ${report.handovers.length - 20} more`)) : null,
  report.timeline.ok.length ? asTable('As a table', timelineTable) : null);

{
  const chips = (statuses, kind, sign) => Object.entries(statuses).map(([status, number]) => chip(kind, sign, html('b', {}, status), ` × ${count(number)}`));
  const all = [...chips(report.ok_by_status, 'good', '✓'), ...chips(report.failures.by_status, 'bad', '✗')];
  section('statuses', 'Statuses', all.length ? [note(`Statuses of responses. Expected: ${report.asked.expect}.`), html('ul', { class: 'chips' }, all)] : note('No response.'));
}

section('latency', 'Latency', report.latency.count ? [
  note(report.asked.rate === null ? 'Of successful requests, from sending to the complete response.'
    : 'Of successful requests, from the due time to the complete response, so that a delay before sending counts.', ' Axes are logarithmic, as are the heights in the distribution, so that rare values are visible.'),
  html('h3', {}, 'Over time'), chart(drawLatency, 'latency-chart'),
  html('h3', {}, 'Distribution'),
  report.instances.length > 1 && legend([line(8, 0, 8, 12, 'mark'), 'p50'], [svg('path', { d: 'M8,1l5,5l-5,5l-5,-5z', class: 'markfill' }), 'p99'],
    [svg('circle', { cx: 8, cy: 6, r: 3.5, class: 'markfill' }), 'max']),
  chart(drawDistribution, 'distribution-chart'), asTable('As a table', latencyTable), phasesTable(), urlsTable(),
] : note('There was no successful response.'));

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
  section('instances', 'Instances', report.instances.length ? scrolling(table(headings, report.instances.map((one, index) => [
    nameOf(one.name),
    html('td', { class: 'share' }, html('i', { class: `b${index % 8}`, style: `width:${((one.share / widest) * 84).toFixed(1)}px` }), percent(one.share)),
    count(one.ok), html('td', { class: `right ${one.failed ? 'failed' : 'zero'}` }, count(one.failed)),
    took(one, 'p50'), took(one, 'p99'), moment(one.first), moment(one.last),
    [one.joined && 'joined', one.left && 'left'].filter(Boolean).join(', '),
  ])), 'Instances') : note('No response.'));
}

{
  const { evenness } = report;
  const chance = (p) => (p < 0.001 ? 'less than 0.1 %' : `${Number((100 * p).toPrecision(2))} %`);
  section('evenness', 'Evenness of shares', evenness ? [
    html('ul', { class: 'chips' }, evenness.p < 0.01 ? chip('warn', '!', html('b', {}, 'uneven')) : chip('good', '✓', html('b', {}, 'even')),
      html('li', { class: 'chip' }, `χ² ${digits(evenness.chi_squared)}, ${plural(evenness.degrees, 'degree')} of freedom`),
      html('li', { class: 'chip' }, evenness.p < 0.001 ? 'p < 0.001' : `p ${evenness.p.toFixed(evenness.p < 0.1 ? 3 : 2)}`),
      html('li', { class: 'chip' }, `skew ${percent(evenness.skew)}`)),
    html('p', { class: 'note', style: 'margin-top:8px' }, `With random choice, the probability of shares at least this uneven is ${chance(evenness.p)}. The largest deviation from an equal share is ${percent(evenness.skew)}. `,
      evenness.of === 'connections' ? 'Each connection is kept by one instance, so connections are compared, not requests.'
        : 'Only times during which the same instances responded are compared.'),
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
    row('Load', settings.rate === null ? 'closed loop' : `open loop, ${rate(settings.rate)}`, settings.ramp ? `, rising for ${time(settings.ramp)}` : ''),
    row('Limit', [settings.duration !== null && time(settings.duration), settings.requests !== null && plural(settings.requests, 'request')].filter(Boolean).join(' or ') || 'none'),
    row('Connections', `up to ${count(settings.connections)}${settings.streams > 1 ? ` with up to ${plural(settings.streams, 'concurrent request')} each` : ''}, ${plural(settings.threads, 'thread')}`),
    row('Request time limit', time(settings.timeout)), row('Expected statuses', settings.expect), row('Instance key', html('bdi', { class: 'name' }, settings.instance)),
    row('Connections opened', `${count(report.connections.opened)}${report.connections.closed_idle ? `, ${count(report.connections.closed_idle)} closed while idle` : ''}`),
    late && row('Late', `${count(late.count)} sent more than ${time(late.threshold)} after the due time, ${count(late.waited)} waited for a connection${late.max ? `; maximum delay ${time(late.max)}` : ''}`),
    row('Received', `${bytes(report.bytes)} in successful responses`),
    row('Load generator', `${percent(report.generator_load)} of its processor cores`)));
}

section('reading', 'How to read this page', html('p', {}, 'During a rolling update, one lane shrinks while another grows. The update was seamless if there is neither a hatched band (an outage) nor a red bar (failures). ',
  'For latency, p99 tells more than the mean. Distrust all latencies if a warning says that the load generator was the bottleneck.'));

const drawAll = () => charts.forEach((draw) => draw());
let drawn = main.clientWidth;
drawAll();
addEventListener('resize', () => requestAnimationFrame(() => {
  if (main.clientWidth !== drawn) { drawn = main.clientWidth; tip.hidden = true; drawAll(); }
}));
addEventListener('beforeprint', drawAll);
addEventListener('afterprint', drawAll);
