import type { ReactNode } from 'react';
import { Json } from '../parts/Json.tsx';
import { Time } from '../parts/Time.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import type { ConnectorOf } from './queries.ts';

/** Every other field of the connector. Fields without a value are left out. */
export function Facts({ connector }: { connector: ConnectorOf }) {
  const { connector: texts, labels } = useTexts();
  const { creator, createdBy, metadata, curatedFields } = connector;
  return (
    <>
      <section aria-labelledby="overview">
        <h2 id="overview">{texts.overview}</h2>
        <dl className="facts">
          <Fact name={texts.server}>{labelOf(labels.serverType, connector.serverType ?? 'none')}</Fact>
          <Fact name={texts.website}>{connector.websiteUrl && <Elsewhere url={connector.websiteUrl} />}</Fact>
          <Fact name={texts.repository}>{connector.repositoryUrl && <Elsewhere url={connector.repositoryUrl} />}</Fact>
          <Fact name={texts.version}>{connector.version}</Fact>
          <Fact name={texts.kind}>{connector.connectorId}</Fact>
          <Fact name={texts.organization}>{connector.organizationId}</Fact>
          <Fact name={texts.addedBy}>{creator ? (creator.isViewer ? texts.you : <bdi>{creator.name ?? creator.userId}</bdi>) : createdBy}</Fact>
          <Fact name={connector.type === 'CUSTOM' ? texts.created : texts.published}><Time at={connector.createdAt} /></Fact>
          <Fact name={texts.updated}><Time at={connector.updatedAt} /></Fact>
          <Fact name={texts.revision}>{connector.revision}</Fact>
          <Fact name={texts.id}><code>{connector.id}</code></Fact>
        </dl>
        {curatedFields.length > 0 && (
          <>
            <p className="muted">{texts.curated}</p>
            <dl className="facts">
              {curatedFields.map(({ field, fileValue }) => (
                <Fact key={field} name={labelOf(labels.field, field)}>{fileValue ?? texts.noValue}</Fact>
              ))}
            </dl>
          </>
        )}
      </section>
      {metadata !== null && (
        <section aria-labelledby="metadata">
          <h2 id="metadata">{texts.metadata}</h2>
          <Json value={metadata} />
        </section>
      )}
    </>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === '') return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Elsewhere({ url }: { url: string }) {
  return <a href={url} rel="noreferrer noopener" target="_blank">{url.replace(/^https?:\/\//, '')}</a>;
}
