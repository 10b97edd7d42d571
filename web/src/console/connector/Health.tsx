import { useState } from 'react';
import { useQuery } from 'urql';
import { HealthBadge } from '../parts/Badge.tsx';
import { Time } from '../parts/Time.tsx';
import { labelOf, useLanguage, useTexts } from '../texts/texts.tsx';
import { type Chart, type ConnectorOf, HealthChart, type HealthOf } from './queries.ts';
import { useReadAgain } from './Tools.tsx';

/** The periods of the chart, and into how many buckets each is divided. */
const PERIODS = [
  { hours: 24, count: 24 },
  { hours: 7 * 24, count: 28 },
  { hours: 30 * 24, count: 30 },
] as const;

/** The variables of the chart as it is at first. */
export const firstChart = (id: string) => ({ id, ...PERIODS[0] });

/** The last check, and the checks over time. */
export function Health({ connector: { id, health, serverUrl, viewerCanCheck } }: { connector: ConnectorOf }) {
  const { health: texts, connector } = useTexts();
  const hasServer = serverUrl !== null;
  return (
    <section aria-labelledby="health" className={hasServer && viewerCanCheck ? 'checkable' : undefined}>
      <h2 id="health">{connector.health}</h2>
      {health ? <Checked id={id} health={health} /> : <p className="muted">{hasServer ? texts.never : texts.noServer}</p>}
    </section>
  );
}

function Checked({ id, health }: { id: string; health: HealthOf }) {
  const { health: texts, labels } = useTexts();
  const { language } = useLanguage();
  const { serverInfo } = health;
  return (
    <>
      <p><HealthBadge outcome={health.outcome} /> <span className="muted">{texts.since} <Time at={health.since} isExact /></span></p>
      <p lang="en">{health.message}</p>
      <Over id={id} checkedAt={health.checkedAt} />
      <dl className="facts">
        <dt>{texts.lastCheck}</dt>
        <dd><Time at={health.checkedAt} /></dd>
        {health.nextCheckAt && <><dt>{texts.nextCheck}</dt><dd><Time at={health.nextCheckAt} /></dd></>}
        {health.latencyMs !== null && <><dt>{texts.latency}</dt><dd>{new Intl.NumberFormat(language).format(health.latencyMs)} ms</dd></>}
        {health.transport && (
          <>
            <dt>{texts.transport}</dt>
            <dd>{labelOf(labels.transport, health.transport)} {health.isTransportDeprecated && <em>{texts.oldTransport}</em>}</dd>
          </>
        )}
        {health.protocolVersion && <><dt>{texts.protocol}</dt><dd>{health.protocolVersion}</dd></>}
        {serverInfo && <><dt>{texts.serverInfo}</dt><dd><bdi>{serverInfo.title ?? serverInfo.name}</bdi> {serverInfo.version}</dd></>}
        {health.authorizationServers.length > 0 && <><dt>{texts.issuers}</dt><dd>{health.authorizationServers.join(', ')}</dd></>}
      </dl>
    </>
  );
}

function Over({ id, checkedAt }: { id: string; checkedAt: string }) {
  const { health: texts } = useTexts();
  const { language } = useLanguage();
  const [period, setPeriod] = useState<(typeof PERIODS)[number]>(PERIODS[0]);
  const [{ data }, read] = useQuery({ query: HealthChart, variables: { id, ...period } });
  useReadAgain(checkedAt, () => read({ requestPolicy: 'network-only' }));
  const chart = data?.personalConnector?.health ?? undefined;
  const long = (hours: number) => (hours <= 24 ? texts.hoursLong(hours) : texts.daysLong(Math.round(hours / 24)));
  const named = (hours: number) => (hours <= 24 ? texts.hours(Math.max(1, Math.round(hours))) : texts.days(Math.round(hours / 24)));
  const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
  return (
    <>
      <div className="bar">
        <p>{chart?.uptime != null && `${texts.uptime}: ${texts.uptimeOf(percent.format(chart.uptime), named(chart.uptimeHours ?? period.hours))}`}</p>
        <select
          aria-label={texts.period}
          value={period.hours}
          onChange={({ target }) => setPeriod(PERIODS.find(({ hours }) => String(hours) === target.value) ?? period)}
        >
          {PERIODS.map(({ hours }) => <option key={hours} value={hours}>{long(hours)}</option>)}
        </select>
      </div>
      <Bars chart={chart} count={period.count} />
      {chart && <Checks checks={chart.history.nodes} />}
    </>
  );
}

const HEIGHT = 48;
const WIDTH = 10;

/** A bar for each bucket: full if all checks worked, red in the share that did not, and a dot without a check. */
function Bars({ chart, count }: { chart: Chart | undefined; count: number }) {
  const { health: texts } = useTexts();
  const { language } = useLanguage();
  if (!chart) return <svg className="chart" viewBox={`0 0 ${count * WIDTH} ${HEIGHT}`} aria-hidden="true" />;
  const { from, to, checks, working, latencyMs } = chart.buckets;
  const length = (Date.parse(to) - Date.parse(from)) / checks.length;
  const format = new Intl.DateTimeFormat(language, { weekday: 'short', day: 'numeric', month: 'short', hour: 'numeric' });
  const buckets = checks.map((all, index) => {
    const at = format.format(Date.parse(from) + index * length);
    const worked = working[index] ?? 0;
    const latency = latencyMs[index] ? `, ${latencyMs[index]} ms` : '';
    return { all, worked, share: all === 0 ? 0 : (worked / all) * (HEIGHT - 4), label: texts.bucket(at, worked, all, latency) };
  });
  const summary = buckets.filter(({ all }) => all > 0).map(({ label }) => label);
  return (
    <svg className="chart" viewBox={`0 0 ${checks.length * WIDTH} ${HEIGHT}`} role="img" aria-label={`${texts.chart}. ${summary.join('. ') || texts.noChecks}`} preserveAspectRatio="none">
      {buckets.map(({ all, share, label }, index) => (
        <g key={index}>
          <title>{label}</title>
          <rect className="whole" x={index * WIDTH} y="0" width={WIDTH} height={HEIGHT} />
          {all === 0 ? (
            <rect className="none" x={index * WIDTH + 1} y={HEIGHT - 3} width={WIDTH - 2} height="2" />
          ) : (
            <>
              <rect className="failed" x={index * WIDTH + 1} y="2" width={WIDTH - 2} height={HEIGHT - 4} />
              <rect className="worked" x={index * WIDTH + 1} y={HEIGHT - 2 - share} width={WIDTH - 2} height={share} />
            </>
          )}
        </g>
      ))}
    </svg>
  );
}

function Checks({ checks }: { checks: Chart['history']['nodes'] }) {
  const { health: texts } = useTexts();
  if (checks.length === 0) return null;
  return (
    <details>
      <summary>{texts.checksList}</summary>
      <ul className="plain checks">
        {checks.map(({ checkedAt, outcome, message, latencyMs }) => (
          <li key={checkedAt}>
            <HealthBadge outcome={outcome} /> <span className="muted"><Time at={checkedAt} />{latencyMs !== null && ` · ${latencyMs} ms`}</span>
            <p className="muted" lang="en">{message}</p>
          </li>
        ))}
      </ul>
    </details>
  );
}
