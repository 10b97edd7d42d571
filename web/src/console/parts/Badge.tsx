import type { ConnectorStatus, Outcome, Visibility } from '../api/graphql.ts';
import { labelOf, useTexts } from '../texts/texts.tsx';

type Tone = 'good' | 'notice' | 'bad' | 'quiet';

/** Shapes differ as colours do: a disc works, a tick is in use, a key needs a sign-in, a triangle warns, a cross is down, a ring is unknown. */
const SHAPES = {
  disc: <circle cx="6" cy="6" r="4.5" />,
  key: <path d="M4 3.5a2.5 2.5 0 1 0 2.3 3.4H8V9h1.6V6.9H11V5.1H6.3A2.5 2.5 0 0 0 4 3.5z" fillRule="evenodd" />,
  triangle: <path d="M6 1 11.5 10.5H.5z" />,
  cross: <path d="m2 3.4 1.4-1.4L6 4.6 8.6 2 10 3.4 7.4 6 10 8.6 8.6 10 6 7.4 3.4 10 2 8.6 4.6 6z" />,
  tick: <path d="M4.6 10 1 6.4l1.3-1.3 2.3 2.3L9.7 2 11 3.3z" />,
  ring: <path d="M6 1.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zm0 1.6a2.9 2.9 0 1 0 0 5.8 2.9 2.9 0 0 0 0-5.8z" fillRule="evenodd" />,
  bars: <path d="M3 2h2v8H3zM7 2h2v8H7z" />,
  lock: <path d="M3.5 5V4a2.5 2.5 0 0 1 5 0v1H10v5.5H2V5zm1.4 0h2.2V4a1.1 1.1 0 0 0-2.2 0z" fillRule="evenodd" />,
  people: <path d="M4 2.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zm4.6 1a1.4 1.4 0 1 1 0 2.8 1.4 1.4 0 0 1 0-2.8zM.8 10c0-2 1.4-3.4 3.2-3.4S7.2 8 7.2 10zm7.2 0c0-1.2-.3-2.2-.9-3 1.9-1 4.1.3 4.1 3z" />,
  globe: <path d="M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zM2.4 5.4h1.4A8 8 0 0 1 4.4 3a3.8 3.8 0 0 0-2 2.4zm0 1.2a3.8 3.8 0 0 0 2 2.4 8 8 0 0 1-.6-2.4zm2.6 0A6 6 0 0 0 6 9.8a6 6 0 0 0 1-3.2zm0-1.2h2A6 6 0 0 0 6 2.2a6 6 0 0 0-1 3.2zm3.2 0h1.4a3.8 3.8 0 0 0-2-2.4 8 8 0 0 1 .6 2.4zm0 1.2A8 8 0 0 1 7.6 9a3.8 3.8 0 0 0 2-2.4z" fillRule="evenodd" />,
};
type Shape = keyof typeof SHAPES;

function Badge({ tone, shape, children }: { tone: Tone; shape: Shape; children: string }) {
  return (
    <span className={`badge ${tone}`}>
      <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">{SHAPES[shape]}</svg>
      {children}
    </span>
  );
}

const OUTCOMES: Record<Outcome, [Tone, Shape]> = {
  OPEN: ['good', 'disc'],
  AUTH_REQUIRED: ['notice', 'key'],
  WRONG_TRANSPORT: ['bad', 'triangle'],
  NOT_MCP: ['bad', 'triangle'],
  UNREACHABLE: ['bad', 'cross'],
  TIMEOUT: ['bad', 'cross'],
  BLOCKED: ['quiet', 'lock'],
  NOT_CHECKABLE: ['quiet', 'ring'],
};

/** The outcome of the last check, as the service counts it: without a server there is nothing to check. */
export const outcomeOf = ({ health, serverUrl }: { health: { outcome: Outcome } | null; serverUrl: string | null }) =>
  health?.outcome ?? (serverUrl === null ? 'NOT_CHECKABLE' : null);

/** The outcome of the last check; null before the first one. */
export function HealthBadge({ outcome }: { outcome: Outcome | null }) {
  const { labels } = useTexts();
  const [tone, shape] = (outcome && OUTCOMES[outcome]) ?? ['quiet', 'ring'];
  return <Badge tone={tone} shape={shape}>{labelOf(labels.outcome, outcome ?? 'none')}</Badge>;
}

const STATUSES: Record<ConnectorStatus, [Tone, Shape]> = {
  ACTIVE: ['quiet', 'tick'],
  DEPRECATED: ['bad', 'triangle'],
  MAINTENANCE: ['notice', 'bars'],
};

export function StatusBadge({ status }: { status: ConnectorStatus }) {
  const { labels } = useTexts();
  const [tone, shape] = STATUSES[status] ?? ['quiet', 'ring'];
  return <Badge tone={tone} shape={shape}>{labelOf(labels.status, status)}</Badge>;
}

const VISIBILITIES: Record<Visibility, Shape> = { PUBLIC: 'globe', ORGANIZATION: 'people', PRIVATE: 'lock' };

export function VisibilityBadge({ visibility }: { visibility: Visibility }) {
  const { labels } = useTexts();
  return <Badge tone="quiet" shape={VISIBILITIES[visibility] ?? 'ring'}>{labelOf(labels.visibility, visibility)}</Badge>;
}
