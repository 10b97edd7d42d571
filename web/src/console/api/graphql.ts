import { initGraphQLTada } from 'gql.tada';
import type { introspection } from '../../../graphql-env.d.ts';

/** Parses an operation. Its types come from `schema.graphql`. */
export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { ID: string; DateTime: string; JSON: unknown; URL: string };
}>();

export type { ResultOf, VariablesOf } from 'gql.tada';

type Scalar<Name extends Parameters<typeof graphql.scalar>[0]> = ReturnType<typeof graphql.scalar<Name>>;

export type Category = Scalar<'ConnectorCategory'>;
export type ConnectorStatus = Scalar<'ConnectorStatus'>;
export type ConnectorType = Scalar<'ConnectorType'>;
export type DenialReason = Scalar<'DenialReason'>;
export type Field = Scalar<'PersonalConnectorField'>;
export type Filter = Scalar<'PersonalConnectorFilter'>;
export type OrderField = Scalar<'PersonalConnectorOrderField'>;
export type OrderDirection = Scalar<'OrderDirection'>;
export type Outcome = Scalar<'InspectionOutcome'>;
export type ServerType = Scalar<'ServerType'>;
export type Transport = Scalar<'McpTransport'>;
export type UserErrorCode = Scalar<'UserErrorCode'>;
export type Visibility = Scalar<'ConnectorVisibility'>;
export type CreateInput = Scalar<'CreateCustomConnectorInput'>;
export type UpdateInput = Scalar<'UpdateCustomConnectorInput'>;
