import { Errors } from './Field.tsx';
import type { UserError } from './queries.ts';

/** A connector that is changed together with others. */
export interface Target {
  readonly id: string;
  readonly name: string;
}

/** What is common to the answers of the mutations of many connectors. */
export interface BulkAnswer {
  readonly results: readonly { readonly personalConnectorId: string; readonly userErrors: readonly UserError[] }[];
  readonly userErrors: readonly UserError[];
}

const failed = ({ results }: BulkAnswer) => results.filter(({ userErrors }) => userErrors.length > 0);

/** Whether all were changed. */
export const isWhole = (answer: BulkAnswer | null | undefined) =>
  answer != null && answer.userErrors.length === 0 && failed(answer).length === 0;

/** What is wrong with each connector, by its name. */
export function Refused({ answer, targets }: { answer: BulkAnswer | null | undefined; targets: readonly Target[] }) {
  const rows = answer ? failed(answer) : [];
  if (rows.length === 0) return null;
  const nameOf = (id: string) => targets.find(target => target.id === id)?.name ?? id;
  return (
    <ul className="plain refused">
      {rows.map(({ personalConnectorId, userErrors }) => (
        <li key={personalConnectorId}><strong>{nameOf(personalConnectorId)}</strong><Errors errors={userErrors} /></li>
      ))}
    </ul>
  );
}
