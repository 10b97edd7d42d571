/** A JSON value in lines of names and values, nested as the value is. */
export function Json({ value }: { value: unknown }) {
  if (Array.isArray(value)) {
    return <ul className="json">{value.map((item: unknown, index) => <li key={index}><Json value={item} /></li>)}</ul>;
  }
  if (isObject(value)) {
    return (
      <dl className="json">
        {Object.entries(value).map(([name, part]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd><Json value={part} /></dd>
          </div>
        ))}
      </dl>
    );
  }
  if (typeof value === 'string' && /^https?:\/\/\S+$/.test(value)) {
    return <a href={value} rel="noreferrer noopener" target="_blank">{value}</a>;
  }
  return <span>{typeof value === 'string' ? value : JSON.stringify(value)}</span>;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
