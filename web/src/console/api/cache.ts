/**
 * For a query whose response may lack connectors, such as an empty list, and for a mutation that changes connectors without
 * returning them: urql's cache connects the two by the names of types.
 */
export const OF_CONNECTORS = { additionalTypenames: ['PersonalConnector'] };
