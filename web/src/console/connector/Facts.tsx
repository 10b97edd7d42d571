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
          <Fact name={texts.server}>
            {connector.serverUrl && <code>{connector.serverUrl}</code>} {labelOf(labels.serverType, connector.serverType ?? 'none')}
          </Fact>
          <Fact name={texts.website}>{connector.websiteUrl && <Elsewhere url={connector.websiteUrl} />}</Fact>
          <Fact name={texts.repository}>{connector.repositoryUrl && <Elsewhere url={connector.repositoryUrl} />}</Fact>
          <Fact name={texts.version}>{connector.version}</Fact>
          <Fact name={texts.kind}>{connector.connectorId}</Fact>
          <Fact name={texts.organization}>{connector.organizationId}</Fact>
          <Fact name={texts.addedBy}>{creator ? (creator.isViewer ? texts.you : (creator.name ?? creator.userId)) : createdBy}</Fact>
          <Fact name={texts.created}><Time at={connector.createdAt} /></Fact>
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
      <Packages connector={connector} />
      {metadata !== null && (
        <section aria-labelledby="metadata">
          <h2 id="metadata">{texts.metadata}</h2>
          <Json value={metadata} />
        </section>
      )}
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
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

function Packages({ connector: { packages } }: { connector: ConnectorOf }) {
  const { connector: texts } = useTexts();
  if (packages.length === 0) return null;
  return (
    <section aria-labelledby="packages">
      <h2 id="packages">{texts.packages}</h2>
      <ul className="plain">
        {packages.map(({ registryType, identifier, version, environment }) => (
          <li key={`${registryType} ${identifier}`}>
            <code>{identifier}</code> {version} <span className="muted">{registryType}</span>
            {environment.length > 0 && (
              <details>
                <summary>{texts.variables}</summary>
                <dl className="facts">
                  {environment.map(variable => (
                    <Fact key={variable.name} name={variable.name}>
                      {variable.description}{' '}
                      {variable.isRequired && <em>{texts.required} </em>}
                      {variable.isSecret && <em>{texts.secret} </em>}
                      {variable.default !== null && <code>{variable.default}</code>}
                    </Fact>
                  ))}
                </dl>
              </details>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
