import { Copy } from '../parts/Copy.tsx';
import { labelOf, useTexts } from '../texts/texts.tsx';
import { Fact } from './Facts.tsx';
import type { ConnectorOf } from './queries.ts';

/** The transports of MCP to which a server type belongs, if no check has found the one that is spoken. */
const transportOf = ({ health, serverType }: ConnectorOf, labels: ReturnType<typeof useTexts>['labels']) =>
  health?.transport ? labelOf(labels.transport, health.transport) : serverType && labelOf(labels.serverType, serverType);

/** What a client needs to use the server: its address and transport, or the packages that it is run from. */
export function Connect({ connector }: { connector: ConnectorOf }) {
  const { connect: texts, labels, connector: words, health } = useTexts();
  const { serverUrl, packages, version } = connector;
  if (serverUrl === null && packages.length === 0) return null;
  const issuers = connector.health?.authorizationServers ?? [];
  return (
    <section aria-labelledby="connect">
      <h2 id="connect">{texts.title}</h2>
      {serverUrl !== null && (
        <>
          <Copy name={texts.address} text={serverUrl} />
          <dl className="facts">
            <Fact name={health.transport}>{transportOf(connector, labels)}</Fact>
            <Fact name={health.issuers}>{issuers.join(', ')}</Fact>
            <Fact name={words.version}>{version}</Fact>
          </dl>
        </>
      )}
      {packages.length > 0 && (
        <>
          <h3>{words.packages}</h3>
          <ul className="plain packages">
            {packages.map(one => <li key={`${one.registryType} ${one.identifier} ${one.version}`}><Package one={one} /></li>)}
          </ul>
        </>
      )}
    </section>
  );
}

type PackageOf = ConnectorOf['packages'][number];

/** How package managers write a version behind a name. */
const SEPARATORS: Readonly<Record<string, string>> = { npm: '@', pypi: '==', nuget: '@', cargo: '@', oci: ':' };

/** The package and its version, as its package manager takes them. */
function exact({ registryType, identifier, version }: PackageOf) {
  const separator = SEPARATORS[registryType];
  return version && separator ? `${identifier}${separator}${version}` : identifier;
}

function Package({ one }: { one: PackageOf }) {
  const { connector: texts } = useTexts();
  const { registryType, version, environment } = one;
  return (
    <>
      <Copy name={registryType} text={exact(one)} />
      {version && <p className="muted">{texts.version} {version}</p>}
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
    </>
  );
}
